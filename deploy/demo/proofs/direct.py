"""llama-cpp-python called directly, in a process of its own: the judge of what SAM answers.

Nothing of SAM is imported here. Reads one JSON object from the input, writes one to the output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice, takewhile
from typing import Any

import numpy as np
from llama_cpp import Llama
from llama_cpp.llama_chat_format import Jinja2ChatFormatter
from llama_cpp.llama_cpp import llama_vocab_is_eog

EMBEDDING_TOKENS = 512


def vectors(model: str, texts: Sequence[str]) -> list[list[float]]:
    """Embed each text alone; unit vectors."""
    size = EMBEDDING_TOKENS
    with closing(
        Llama(model, embedding=True, n_ctx=size, n_batch=size, n_ubatch=size, verbose=False)
    ) as llama:
        return [np.asarray(llama.embed(text, normalize=True)).tolist() for text in texts]


def answers(
    model: str,
    adapter: str | None,
    conversations: Sequence[Sequence[Mapping[str, str]]],
    max_tokens: int,
) -> list[dict[str, Any]]:
    """Answer each conversation greedily: the model's own template, no penalties.

    Flash attention as SAM uses it: a model of random weights has near ties, which the other
    attention's rounding decides differently.
    """
    with closing(Llama(model, n_ctx=0, lora_path=adapter, flash_attn=True, verbose=False)) as llama:
        return [_answer(llama, messages, max_tokens) for messages in conversations]


def _answer(llama: Llama, messages: Sequence[Mapping[str, str]], max_tokens: int) -> dict[str, Any]:
    # Each from its beginning: what the last one left in the cache was computed in other batches, and a
    # near tie would be decided otherwise.
    llama.reset()  # type: ignore[no-untyped-call]
    prompt = llama.tokenize(_rendered(llama, messages).encode(), add_bos=False, special=True)
    sampled = llama.generate(prompt, top_k=1, temp=0.0, repeat_penalty=1.0, reset=True)
    tokens = list(islice(_until_end(llama, sampled), max_tokens))
    text = llama.detokenize(tokens, prev_tokens=prompt).decode("utf-8", "replace")
    return {"tokens": tokens, "text": text}


def _until_end(llama: Llama, sampled: Iterable[int]) -> Iterator[int]:
    vocabulary = llama._model.vocab
    return takewhile(lambda token: not llama_vocab_is_eog(vocabulary, token), sampled)


def _rendered(llama: Llama, messages: Sequence[Mapping[str, str]]) -> str:
    formatter = Jinja2ChatFormatter(
        template=llama.metadata["tokenizer.chat_template"],
        eos_token=llama._model.token_get_text(llama.token_eos()),
        bos_token=llama._model.token_get_text(llama.token_bos()),
    )
    given: list[Any] = [dict(message) for message in messages]
    return str(formatter(messages=given).prompt)


def main() -> None:
    """Answer the one request on the input."""
    request = json.load(sys.stdin)
    kinds: dict[str, Callable[..., Any]] = {"vectors": vectors, "answers": answers}
    json.dump(kinds[request.pop("work")](**request), sys.stdout)


if __name__ == "__main__":
    main()
