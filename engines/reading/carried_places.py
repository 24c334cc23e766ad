"""The pages of a text that is changed: each mark goes along with the line that it stands at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate

from engines.reading.result import Place

MAX_COMPARED = 4_000_000
"""Old times new lines that are compared one by one; of more, a change is one block."""

_Block = tuple[int, int, int, int]
"""Lines from, to in the old text and from, to in the new one; what lies between blocks is the same."""


def carry_places(old: str, new: str, places: Sequence[Place]) -> list[Place]:
    """Return the marks of the old text where they stand in the new one, in their order.

    A mark at a line that stayed moves with it. In lines that were rewritten, it stands as many lines below the
    beginning of the change as before, or at its end; that of a page which was taken out gives way to the next one.
    """
    if not places:
        return []
    before, after = _lines(old), _lines(new)
    starts = [0, *accumulate(len(line) + 1 for line in old.split("\n"))]
    ends = [0, *accumulate(len(line) + 1 for line in new.split("\n"))]
    blocks = list(_changes(before, after))
    carried: dict[int, str] = {}
    for at, label in places:
        number = bisect_right(starts, at) - 1
        line, is_kept = _carry_line(number, blocks)
        inside = at - starts[number] if is_kept else 0
        # Of several marks at one place the last one names what follows.
        carried[min(ends[line] + inside, len(new))] = label
    return sorted(carried.items())


def _lines(text: str) -> list[str]:
    # Browsers send other line ends than files have.
    return [line.removesuffix("\r") for line in text.split("\n")]


def _changes(before: Sequence[str], after: Sequence[str]) -> Iterator[_Block]:
    """Yield the blocks that differ, in their order."""
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    tail = 0
    while tail < min(len(before), len(after)) - same and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    old, new = before[same : len(before) - tail], after[same : len(after) - tail]
    if len(old) * len(new) > MAX_COMPARED:
        yield same, same + len(old), same, same + len(new)
        return
    for kind, *ends in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            i, j, k, m = (same + end for end in ends)
            yield i, j, k, m


def _carry_line(number: int, blocks: Sequence[_Block]) -> tuple[int, bool]:
    """Return where a line of the old text stands in the new one, and whether it is still the same."""
    shift = 0
    for old_from, old_to, new_from, new_to in blocks:
        if number < old_from:
            break
        if number < old_to:
            return min(new_from + number - old_from, new_to), False
        shift = new_to - old_to
    return number + shift, True
