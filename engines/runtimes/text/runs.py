"""Texts that native tokenizers cannot bear: too long, or without a break.

llama.cpp splits a text by regular expressions, some of them libstdc++'s, which recurse at each character:
30,000 letters or blanks in a row end the process of a DeepSeek vocabulary (8 MiB of stack). And a
SentencePiece vocabulary takes the square of the length for signs that it has only as bytes.
"""

from __future__ import annotations

import re

from engines.exceptions import InvalidRequestError

MAX_RUN = 8192
"""Characters in a row that are all letters, all digits, or neither; no text that people read has so many."""
MAX_COUNT_CHARS = 4_000_000
"""Of all messages of a prompt together, or of one text whose tokens are counted."""
_RUN = re.compile(r"[^\W\d]+|\d+|\W+")


def require_breaks(text: str) -> None:
    """Raise InvalidRequestError for a text with a longer run than a tokenizer may get."""
    if len(text) <= MAX_RUN:
        return
    for run in _RUN.finditer(text):
        size = run.end() - run.start()
        if size > MAX_RUN:
            kind = _kind(run[0])
            raise InvalidRequestError(
                f"The text has {size} {kind} in a row, from character {run.start()} on, and "
                f"{MAX_RUN} are allowed; break them up or leave them out."
            )


def require_countable(chars: int) -> None:
    """Refuse by its length what fits no engine's context, before anything is sent or tokenized."""
    if chars > MAX_COUNT_CHARS:
        raise InvalidRequestError(
            f"The text has {chars} characters and tokens are counted of up to {MAX_COUNT_CHARS}; "
            "shorten it or count it in parts."
        )


def _kind(run: str) -> str:
    if run.isspace():
        return "blanks"
    return "digits" if run[0].isdecimal() else "letters" if run[0].isalpha() else "signs"
