"""A part of a passage to ask with: counted in characters, since a script without blanks has no words to count."""

from __future__ import annotations

import unicodedata

PASSAGE_CHARS = 160
PART = 2
"""A question is at most this part of its passage: a whole passage finds itself in any index."""
_JOINER = "\u200d"
_SKIN_TONES = ("\U0001f3fb", "\U0001f3ff")
_FLAG_LETTERS = ("\U0001f1e6", "\U0001f1ff")
_JAMO_AFTER_FIRST = ("\u1160", "\u11ff")
_STACKS = "\u17d2\u1039\u0f84"
"""What puts the next consonant below this one (Khmer, Burmese, Tibetan); viramas of India are found by name."""


def cut_middle(text: str) -> str:
    """Return at most 160 characters from the middle and half of all, whole words where there are blanks.

    Nothing that a reader sees as one character is parted: marks, syllables, joined emoji, flags.
    """
    stripped = " ".join(text.split())
    size = min(PASSAGE_CHARS, max(len(stripped) // PART, 1))
    start = (len(stripped) - size) // 2
    end = start + size
    while start < len(stripped) and not is_boundary(stripped, start):
        start += 1
    if start == len(stripped):
        start = _find_boundary_before(stripped, start)
    while end > start and not is_boundary(stripped, end):
        end -= 1
    if end <= start:
        end = start + 1
        while not is_boundary(stripped, end):
            end += 1
    cut = stripped[start:end].strip()
    inner = cut.partition(" ")[2].rpartition(" ")[0]
    return inner or cut or stripped


def is_boundary(text: str, at: int) -> bool:
    """Whether a text may be cut before this character."""
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if unicodedata.category(after).startswith("M") or after in (
        _JOINER,
        "\u200c",
        "\u0e33",
        "\u0eb3",
    ):
        return False
    if before == _JOINER or _stacks(before):
        return False
    if _SKIN_TONES[0] <= after <= _SKIN_TONES[1] or _is_between(after, _JAMO_AFTER_FIRST):
        return False
    if _is_between(after, _FLAG_LETTERS):
        return _count_flag_letters(text, at) % 2 == 0
    return True


def _find_boundary_before(text: str, at: int) -> int:
    at -= 1
    while not is_boundary(text, at):
        at -= 1
    return at


def _stacks(character: str) -> bool:
    if character in _STACKS:
        return True
    is_mark = unicodedata.category(character) == "Mn"
    return is_mark and unicodedata.name(character, "").endswith("SIGN VIRAMA")


def _count_flag_letters(text: str, at: int) -> int:
    """Return how many letters of flags stand right before a place."""
    count = 0
    while count < at and _is_between(text[at - count - 1], _FLAG_LETTERS):
        count += 1
    return count


def _is_between(character: str, ends: tuple[str, str]) -> bool:
    return ends[0] <= character <= ends[1]
