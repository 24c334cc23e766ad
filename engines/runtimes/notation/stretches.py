"""Stretches of rendered text between known words, cut at the edges of tags."""

from __future__ import annotations

import re
from collections.abc import Iterable

TAG = re.compile(r"<[^<>\n]{1,80}>|\[/?[A-Z_ ]+\]")
_NOT_A_NAME = re.compile(r"start|begin|open|close|end|prefix|suffix|[^a-z]|of")
_TRIPLE = re.compile(r"(<[^<>\n]+>)(\w+)(<[^<>\n]+>)\s*$")


def find_common_prefix(first: str, second: str) -> str:
    """Return what both begin with, without a part of a tag of either."""
    size = 0
    while size < min(len(first), len(second)) and first[size] == second[size]:
        size += 1
    while size and (_is_inside_tag(first, size) or _is_inside_tag(second, size)):
        size -= 1
    return first[:size]


def find_common_suffix(first: str, second: str) -> str:
    """Return what both end with, without a part of a tag of either."""
    size = 0
    while size < min(len(first), len(second)) and first[-size - 1] == second[-size - 1]:
        size += 1
    while size and (
        _is_inside_tag(first, len(first) - size) or _is_inside_tag(second, len(second) - size)
    ):
        size -= 1
    return first[len(first) - size :]


def _is_inside_tag(text: str, at: int) -> bool:
    return any(found.start() < at < found.end() for found in TAG.finditer(text))


def merge_texts(first: str, second: str, hole: str) -> str:
    """Return one text for two, a hole for where they differ."""
    if first == second:
        return first
    size = 0
    while size < min(len(first), len(second)) and first[size] == second[size]:
        size += 1
    rest = 0
    most = min(len(first), len(second)) - size
    while rest < most and first[-rest - 1] == second[-rest - 1]:
        rest += 1
    # Whole words differ, not the letters that two of them do not share.
    while size and first[size - 1].isalnum():
        size -= 1
    while rest and first[-rest].isalnum():
        rest -= 1
    return first[:size] + hole + first[len(first) - rest :]


def letters_of(tag: str) -> str:
    """Return the letters that an opening and a closing tag have in common."""
    return _NOT_A_NAME.sub("", tag.lower())


def find_pair(before: str, after: str) -> tuple[str, str, str] | None:
    """Return the marks around a text, and what follows the closing one; None for no pair.

    A pair has the same letters: ``<think>`` and ``</think>``, ``<|START_A|>`` and ``<|END_A|>``.
    """
    triple = _TRIPLE.search(before)
    if triple is not None:
        closing = re.match(rf"\s*<[^<>\n]+>{re.escape(triple[2])}{re.escape(triple[3])}", after)
        if closing is not None:
            return triple[0].strip(), closing[0].strip(), after[closing.end() :]
    closings = list(TAG.finditer(after))
    for opening in reversed(list(TAG.finditer(before))):
        letters = letters_of(opening[0])
        for closing in closings:
            if letters and letters_of(closing[0]) == letters:
                marks = before[opening.start() :].strip(), after[: closing.end()].strip()
                return *marks, after[closing.end() :]
    return None


def strip_leading(text: str, marks: Iterable[str]) -> str:
    """Return a text without the marks, in any order, that it begins with."""
    known = [mark.strip() for mark in marks if mark.strip()]
    going = True
    while going:
        begun = text.lstrip()
        mark = next((each for each in known if begun.startswith(each)), "")
        going = bool(mark)
        text = begun[len(mark) :] if mark else text
    return text
