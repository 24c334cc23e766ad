"""Reads an object of an answer as it was meant: as JSON, else as Python has it, else by what can only follow a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engines.runtimes.notation.scanning import (
    IncompleteError,
    NotACallError,
    decode_json,
    decode_unclosed,
    find_end_before,
)
from engines.runtimes.notation.values.loose import read_loose_object
from engines.runtimes.notation.values.python import read_python_object

Means = Callable[[Any], bool]
"""Tells whether a value that neither JSON nor Python reads is a call that could have been meant."""


def decode_object(
    text: str, at: int, marks: Sequence[str], means: Means, *, is_last: bool
) -> tuple[Any, int]:
    """Return the value at a place before one of the marks, and its end; without a mark it ends with the answer.

    Raises IncompleteError or NotACallError.
    """
    is_open = False
    try:
        return decode_json(text, at)
    except IncompleteError:
        is_open = True
    except NotACallError:
        pass
    if (found := decode_unclosed(text, at, marks, is_last=is_last)) is not None:
        return found
    if is_last or not is_open:
        try:
            return read_python_object(text, at)
        except IncompleteError:
            is_open = True
        except NotACallError:
            pass
    found = _decode_loosely(text, at, marks, means, is_last=is_last)
    if found is not None:
        return found
    raise IncompleteError if is_open else NotACallError


def _decode_loosely(
    text: str, at: int, marks: Sequence[str], means: Means, *, is_last: bool
) -> tuple[Any, int] | None:
    end = find_end_before(text, at, marks, is_last=is_last)
    if end < 0:
        raise IncompleteError
    try:
        value, after = read_loose_object(text[:end], at)
    except NotACallError:
        return None
    return (value, after) if means(value) else None
