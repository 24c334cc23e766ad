from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import llama_cpp
import pytest
from llama_cpp import Llama

from deploy.demo.models.tiny_models import write_llama_chat, write_lora_for, write_qwen_chat
from deploy.demo.models.tiny_tokenizer import learn_vocabulary
from engines.exceptions import AdapterMismatchError
from engines.gguf.reader import read_header

QUESTIONS = ["Hello, who are you?", "Tell me about the sea.", "Why?"]
AWKWARD = ["Grüße, 世界! \U0001f600", "tabs\tand\n\nlines", "x" * 60, "don't 3.14 <b>"]
LONGEST = 40


def open_model(path: Path, lora: Path | None = None) -> Llama:
    return Llama(str(path), n_ctx=512, lora_path=str(lora) if lora else None, verbose=False)


def answers(path: Path, lora: Path | None = None) -> list[str]:
    with closing(open_model(path, lora)) as model:
        return [greedy(model, question) for question in QUESTIONS]


def greedy(model: Llama, question: str) -> str:
    messages: Any = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": question},
    ]
    reply: Any = model.create_chat_completion(messages, max_tokens=LONGEST, temperature=0.0)
    assert reply["usage"]["completion_tokens"] == LONGEST
    return str(reply["choices"][0]["message"]["content"])


def test_headers_describe_two_families(tiny_llama: Path, tiny_qwen: Path) -> None:
    llama, qwen = read_header(tiny_llama).facts(), read_header(tiny_qwen).facts()

    assert (llama.architecture, llama.context_length, llama.add_bos) == ("llama", 512, True)
    assert (qwen.architecture, qwen.context_length, qwen.add_bos) == ("qwen2", 1024, False)
    assert "<|start_header_id|>" in llama.chat_template
    assert "<|im_start|>" in qwen.chat_template
    assert llama.embedding_length != qwen.embedding_length


def test_equal_arguments_give_equal_bytes_and_another_seed_does_not(
    tmp_path: Path, tiny_llama: Path, tiny_qwen: Path
) -> None:
    llama = write_llama_chat(tmp_path / "llama.gguf").read_bytes()
    other = write_llama_chat(tmp_path / "other.gguf", seed=9).read_bytes()

    assert llama == tiny_llama.read_bytes() != other
    assert write_qwen_chat(tmp_path / "qwen.gguf").read_bytes() == tiny_qwen.read_bytes()
    assert 1_000_000 < len(llama) < 5_000_000


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_qwen"])
@pytest.mark.parametrize("text", [*QUESTIONS, *AWKWARD])
def test_every_text_survives_the_tokenizer(
    request: pytest.FixtureRequest, family: str, text: str
) -> None:
    with closing(open_model(request.getfixturevalue(family))) as model:
        tokens = model.tokenize(text.encode(), add_bos=False)

        assert model.detokenize(tokens).decode() == text
        assert len(tokens) < len(text.encode()) or text in AWKWARD


def test_both_families_speak_words_and_not_the_same_ones(tiny_llama: Path, tiny_qwen: Path) -> None:
    old, new = answers(tiny_llama), answers(tiny_qwen)

    for said in [*old, *new]:
        assert said.isascii()
        assert said.isprintable()
        assert len(set(said.split())) >= 8
    assert len({*old, *new}) == 2 * len(QUESTIONS)


def test_greedy_answers_repeat(tiny_llama: Path) -> None:
    assert answers(tiny_llama) == answers(tiny_llama)


def test_the_adapter_changes_every_answer(tiny_llama: Path, tiny_lora: Path) -> None:
    plain, adapted = answers(tiny_llama), answers(tiny_llama, tiny_lora)

    assert all(before != after for before, after in zip(plain, adapted, strict=True))


def test_the_engine_itself_refuses_the_adapter_on_the_other_family(
    tiny_qwen: Path, tiny_lora: Path
) -> None:
    with closing(open_model(tiny_qwen)) as model:
        adapter = llama_cpp.llama_adapter_lora_init(model._model.model, bytes(tiny_lora))

    assert not adapter


def test_a_base_without_attention_gets_no_adapter(tmp_path: Path, tiny_lora: Path) -> None:
    with pytest.raises(AdapterMismatchError, match="no attention to adapt"):
        write_lora_for(tmp_path / "a.gguf", tiny_lora)

    assert list(tmp_path.iterdir()) == []


def test_the_vocabulary_has_no_token_twice() -> None:
    vocabulary = learn_vocabulary(600, ("<|end|>",))

    assert len(set(vocabulary.tokens)) == len(vocabulary.tokens)
    assert len(vocabulary.types) == len(vocabulary.tokens)
    assert vocabulary.id_of("<|end|>") == len(vocabulary.tokens) - 1
