"""Text that comes in pieces, and marks that may begin at the end of one piece and end in the next."""

from __future__ import annotations

from collections.abc import Sequence


def split_undecided(
    text: str, marks: Sequence[str], *, with_space: bool = False
) -> tuple[str, str]:
    """Return what may be shown, and the longest end that may still become one of the marks.

    ``with_space`` holds back white space before the mark too: it belongs to the mark. Whole marks are
    the caller's to find first.
    """
    longest = min(max(map(len, marks), default=1) - 1, len(text))
    sizes = range(longest, 0, -1)
    size = next((n for n in sizes if any(mark.startswith(text[-n:]) for mark in marks)), 0)
    shown = text[: len(text) - size]
    shown = shown.rstrip() if with_space else shown
    return shown, text[len(shown) :]
