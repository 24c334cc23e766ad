"""Real GGUF chat models whose greedy answer is known: each token of a script leads to the next.

All layers add nothing, every token of the script is a direction of its own, and the row of the
output matrix for the next token points there. llama.cpp computes them like any other model.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from deploy.demo.models.tiny_models import (
    _LLAMA,
    _architecture_metadata,
    _tokenizer_metadata,
    _weights,
)
from deploy.demo.models.tiny_tokenizer import Vocabulary, learn_vocabulary
from engines.gguf.writer import write_gguf

START = "Ċ"
"""The line feed that ends the template: what the script begins after."""
END = "<|eot_id|>"
USER_DEFINED_TOKEN = 4
"""llama.cpp's type of an added token."""
MOST_STEPS = 60


def words(count: int) -> list[str]:
    """Different pieces that begin a word, as they read in an answer."""
    vocabulary = learn_vocabulary(_LLAMA.merge_count, _LLAMA.control)
    pieces = [vocabulary.tokens[token] for token in vocabulary.speakable()]
    return [" " + piece[1:] for piece in pieces if piece[1:].isascii()][:count]


def write_scripted(
    path: Path,
    script: Sequence[str],
    *,
    template: str | None = None,
    tool_template: str | None = None,
    marks: Sequence[str] = (),
    added: Sequence[str] = (),
    context: int = 512,
) -> Path:
    """Write a model that says ``script``, texts of one token each, and ends its turn.

    ``marks`` are control tokens beside the family's, ``added`` user-defined ones.
    """
    vocabulary = learn_vocabulary(_LLAMA.merge_count, (*_LLAMA.control, *marks, *added))
    metadata = {
        **_architecture_metadata(_LLAMA, context, len(vocabulary.tokens)),
        **_tokenizer_metadata(_LLAMA, vocabulary),
    }
    plain = len(vocabulary.tokens) - len(added)
    metadata["tokenizer.ggml.token_type"] = [
        *vocabulary.types[:plain],
        *[USER_DEFINED_TOKEN] * len(added),
    ]
    if template is not None:
        metadata["tokenizer.chat_template"] = template
    if tool_template is not None:
        metadata["tokenizer.chat_template.tool_use"] = tool_template
    weights = _weights(_LLAMA, vocabulary, 1)
    for name in weights:
        if name.startswith("blk.") and "norm" not in name:
            weights[name] = np.zeros_like(weights[name])
    steps = [START, *(_spelled(text) for text in script), END]
    weights |= _bigrams(vocabulary, steps)
    return write_gguf(path, metadata, weights)


def _spelled(text: str) -> str:
    """As the vocabulary writes it: its stand-ins for a space and a line feed."""
    return text.replace(" ", "Ġ").replace("\n", "Ċ")


def _bigrams(vocabulary: Vocabulary, steps: Sequence[str]) -> dict[str, np.ndarray]:
    assert len(set(steps)) == len(steps) <= MOST_STEPS, "each step leads to one other"
    size = (len(vocabulary.tokens), _LLAMA.width)
    read, said = np.zeros(size, np.float16), np.zeros(size, np.float16)
    read[:, MOST_STEPS:] = 0.1
    for number, (now, after) in enumerate(pairwise(steps)):
        read[vocabulary.id_of(now)] = 0
        read[vocabulary.id_of(now), number] = 1
        said[vocabulary.id_of(after), number] = 1
    return {"token_embd.weight": read, "output.weight": said}
