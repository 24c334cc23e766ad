"""Texts without a break, which native tokenizers cannot bear.

llama.cpp splits a text by regular expressions, some of them libstdc++'s, which recurse at each character:
30,000 letters or blanks in a row end the process of a DeepSeek vocabulary (8 MiB of stack). And a
SentencePiece vocabulary takes the square of the length for signs that it has only as bytes.
"""

from __future__ import annotations

import re

from engines.exceptions import InvalidRequestError

MAX_RUN = 8192
"""Characters in a row that are all letters, all digits, or neither; no text that people read has so many."""
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


def _kind(run: str) -> str:
    if run.isspace():
        return "blanks"
    return "digits" if run[0].isdecimal() else "letters" if run[0].isalpha() else "signs"
