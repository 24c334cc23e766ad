"""Matching of marks and JSON at a place of a text that may still grow.

Each function decides as early as it can and never otherwise for a longer text, so that pieces of an
answer are read as the whole is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from engines.runtimes.notation.description import HOLE
from engines.runtimes.text.marks import split_undecided

MAX_HOLE_CHARS = 128
"""Characters of an id, an index or a type between two parts of a mark."""
_BAR, _GAP = "｜", "▁"
"""What stands in the marks of DeepSeek."""
UNSURE_CHARS = 10
"""A JSON error so near to the end may be the half of a word or a number."""
NAME = re.compile(r"[A-Za-z0-9_.\-/]+")
QUOTES = ('"', "'")
FENCE = "```"
_TEXT = r'"(?:[^"\\]|\\.)*+"?'
"""To its end, or to that of an answer that has not come to it."""
_PAIRS = {"{": "}", "[": "]"}
_EDGES = re.compile(r"^\s+|\s+$|\s*\n\s*|(?<=[>`])(?=<)")
_SPACE = re.compile(r"\s*")
_FENCE = re.compile(rf"{FENCE}(?:json)?\s*")


class IncompleteError(Exception):
    """More text is needed to decide."""


class NotACallError(Exception):
    """What stands here is no call, whatever follows."""


class Matched(NamedTuple):
    end: int
    hole: str = ""
    """What stood where the mark has its first hole."""


def skip_space(text: str, at: int) -> int:
    """Return where the white space at a place ends."""
    return skip_pattern(_SPACE, text, at)


def skip_fence(text: str, at: int) -> int:
    """Return where an opening fence ends that stands at a place, the place itself for none."""
    if text[at:] and f"{FENCE}json".startswith(text[at:]):
        raise IncompleteError
    return skip_pattern(_FENCE, text, at)


def skip_pattern(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where what a pattern matches at a place ends, the place itself where it matches nothing."""
    found = pattern.match(text, at)
    return found.end() if found else at


@lru_cache(maxsize=1024)
def split_mark(mark: str) -> tuple[str, ...]:
    """Return the parts of a mark between which white space may be anything."""
    return tuple(filter(None, _EDGES.split(mark)))


@lru_cache(maxsize=1024)
def spellings_of(part: str) -> tuple[str, ...]:
    """Return how a part of a mark is written, the longer of two that begin alike first.

    Models give the name in ``<function=`` as an attribute, and leave out quotes around a name; those that were distilled
    write the marks of DeepSeek with other signs.
    """
    if part.startswith("<") and part.endswith("="):
        return (part, f"{part[:-1]} name=")
    if part.startswith("<") and part.endswith('="'):
        return (part, part[:-1])
    if part.startswith('">'):
        return (part, part[1:])
    if part == f"{FENCE}json":
        return (part, FENCE)
    if _BAR in part:
        gaps = [part.replace(_GAP, sign) for sign in (_GAP, "_", " ", "\\_")]
        gaps += [part.replace(f"{_GAP}begin", "")] if _GAP in part else []
        return tuple(dict.fromkeys(each for gap in gaps for each in (gap, gap.replace(_BAR, "|"))))
    return (part,)


def unquote_name(name: str) -> str:
    """Return a name without the quotes that models put around it."""
    is_quoted = len(name) > 1 and name[0] in QUOTES and name[-1] == name[0]
    return name[1:-1] if is_quoted else name


def match_name(text: str, at: int, *, is_last: bool) -> tuple[str, int]:
    """Return a tool's name, in quotes or not, and its end; raises IncompleteError or NotACallError."""
    quote = text[at] if text.startswith(QUOTES, at) else ""
    name = NAME.match(text, at + len(quote))
    if name is None and at + len(quote) < len(text):
        raise NotACallError
    if name is None or (name.end() == len(text) and not is_last):
        raise IncompleteError
    if not text.startswith(quote, name.end()):
        raise NotACallError
    return name[0], name.end() + len(quote)


def match_mark(text: str, at: int, mark: str) -> Matched:
    """Match all parts of a mark; raises IncompleteError or NotACallError."""
    hole = ""
    for part in split_mark(mark):
        found = _match_part(text, skip_space(text, at), part)
        at, hole = found.end, hole or found.hole
    return Matched(at, hole)


def try_mark(text: str, at: int, mark: str) -> int | None:
    """Return where a mark ends, None where it does not stand; raises IncompleteError where it still may."""
    try:
        return match_mark(text, at, mark).end
    except NotACallError:
        return None


def match_closing(text: str, at: int, mark: str, *, is_required: bool, is_last: bool) -> int:
    """Match what stands there of a closing mark; models leave out parts of it, but one of a mark that is required.

    At the end of the answer the rest may be missing as well.
    """
    is_missing = is_required
    for part in split_mark(mark):
        begun = skip_space(text, at)
        try:
            at = _match_part(text, begun, part).end
        except IncompleteError:
            if not is_last or is_missing:
                raise
            return len(text) if part.startswith(text[begun:]) else at
        except NotACallError:
            continue
        is_missing = False
    if is_missing and mark.strip():
        raise NotACallError
    return at


def _match_part(text: str, at: int, part: str) -> Matched:
    before, has_hole, after = part.partition(HOLE)
    at = _match_text(text, at, before)
    if not has_hole:
        return Matched(at)
    end = text.find(after, at, at + MAX_HOLE_CHARS) if after else at
    if "\n" in text[at : end if end >= 0 else None]:
        raise NotACallError
    if end < 0:
        raise IncompleteError if len(text) - at < MAX_HOLE_CHARS else NotACallError
    return Matched(end + len(after), text[at:end])


def _match_text(text: str, at: int, expected: str) -> int:
    for spelling in spellings_of(expected):
        if text.startswith(spelling, at):
            return at + len(spelling)
        if spelling.startswith(text[at:]):
            raise IncompleteError
    raise NotACallError


def _refuse_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _read_finite(written: str) -> float:
    """Return a number; ValueError for one that would be written as no JSON."""
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(f"{written} is too large")
    return number


# Not strict: models write line feeds into texts as they are.
_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse_constant, parse_float=_read_finite)


def load_json(text: str) -> Any:
    """Return the JSON value that a text is; ValueError or RecursionError where it is none."""
    return _DECODER.decode(text)


def decode_json(text: str, at: int) -> tuple[Any, int]:
    """Return the JSON value at a place and its end; raises IncompleteError or NotACallError."""
    at = skip_space(text, at)
    if at == len(text):
        raise IncompleteError
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        is_open = error.msg.startswith("Unterminated string")
        if is_open or error.pos > len(text) - UNSURE_CHARS:
            raise IncompleteError from error
        raise NotACallError from error
    except (ValueError, RecursionError) as error:
        raise NotACallError from error


def find_end_before(text: str, at: int, marks: Sequence[str], *, is_last: bool) -> int:
    """Return where the first of the marks stands, else where the answer ends; -1 where it goes on."""
    found = re.compile("|".join(map(re.escape, marks))).search(text, at) if marks else None
    if found is not None:
        return found.start()
    return len(text) if is_last else -1


def decode_unclosed(
    text: str, at: int, marks: Sequence[str], *, is_last: bool
) -> tuple[Any, int] | None:
    """Return an object whose last brackets are missing before a mark that ends it, and its end; else None.

    At the end of the answer only the outermost bracket may be missing: what is within may have been cut.
    Raises IncompleteError where a mark may have begun.
    """
    signs = re.compile("|".join([_TEXT, r"[{}\[\]]", *map(re.escape, marks)]), re.DOTALL)
    missing, place = "", at
    for found in signs.finditer(text, at):
        sign, place = found[0], found.end()
        if sign in _PAIRS:
            missing = _PAIRS[sign] + missing
        elif sign == missing[:1] and len(missing) > 1:
            missing = missing[1:]
        elif sign in marks:
            return _close(text[at : found.start()], at, missing)
        elif sign[0] != '"' or len(sign) == 1 or sign[-1] != '"':
            return None
    rest = text[place:]
    if not is_last and '"' not in rest and split_undecided(rest, marks)[1]:
        raise IncompleteError
    is_whole = is_last and missing == "}" and text.rstrip().endswith("}")
    return _close(text[at:], at, missing) if is_whole else None


def _close(text: str, at: int, brackets: str) -> tuple[Any, int] | None:
    written = text.rstrip()
    try:
        return load_json(written + brackets), at + len(written)
    except (ValueError, RecursionError):
        return None
