"""Texts that clients send as numbers of OpenAI's vocabulary, read back into text."""

from __future__ import annotations

import bz2
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parents[2] / "data" / "cl100k_base.bz2"
"""The tokens of OpenAI's embedders (tiktoken's cl100k_base, MIT License) by rank, each behind its length."""


def read_openai_tokens(numbers: Sequence[int]) -> str:
    """Return the text of tokens of cl100k_base, which all of OpenAI's present embedders read.

    Half a character at an end, as clients leave that cut a long text by tokens, becomes U+FFFD. Raises
    ValueError for a number that stands for no text; the control tokens do not.
    """
    tokens = _tokens()
    unknown = next((number for number in numbers if not 0 <= number < len(tokens)), None)
    if unknown is not None:
        raise ValueError(
            f"{unknown} is no token of OpenAI's vocabulary cl100k_base, in which numbers are read here"
        )
    return b"".join(tokens[number] for number in numbers).decode(errors="replace")


@cache
def _tokens() -> tuple[bytes, ...]:
    """Read the vocabulary when the first client needs it: 100,256 tokens, some 10 MB."""
    return tuple(_cut(bz2.decompress(_FILE.read_bytes())))


def _cut(packed: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(packed):
        end = place + 1 + packed[place]
        yield packed[place + 1 : end]
        place = end
