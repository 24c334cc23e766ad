"""Where a listener is in the changes of plans, as it travels in ``Last-Event-ID``.

Changes are numbered when they are written, but become visible when their transaction commits, so a lower
number may appear after a higher one. A cursor is therefore a number below which all is settled and told,
and the few above it that were told already. Whoever comes back with it is told exactly the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.db.keys import MAX_ROW_ID

MAX_CHARS = 4096
MAX_TOLD = 300


@dataclass(frozen=True, slots=True)
class Cursor:
    """All changes up to ``settled`` are told, and of the later ones those of ``told``."""

    settled: int
    told: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return "-".join(map(str, [self.settled, *sorted(self.told)]))


def parse_cursor(text: str | None) -> Cursor | None:
    """Return the cursor that a client sends back; None for none of ours, which begins anew."""
    if not text or len(text) > MAX_CHARS:
        return None
    parts = text.split("-")
    if not all(part.isascii() and part.isdecimal() for part in parts):
        return None
    settled, *told = map(int, parts)
    if settled > MAX_ROW_ID or len(told) > MAX_TOLD:
        return None
    return Cursor(settled, frozenset(one for one in told if settled < one <= MAX_ROW_ID))
