"""A queue that serves people in turn, however much each of them asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from itertools import chain
from typing import Generic, TypeVar

Who = TypeVar("Who", bound=Hashable)
Item = TypeVar("Item")


class FairQueue(Generic[Who, Item]):
    """Each person's items in the order they came, the people one after the other.

    Who is served goes behind all others, and so does who comes anew: an item waits for as many turns
    as people wait, times its place among its own person's. Not thread-safe.
    """

    def __init__(self) -> None:
        self._lines: dict[Who, deque[Item]] = {}
        """In the order of turns."""

    def __iter__(self) -> Iterator[Item]:
        """Yield each person's items, the person whose turn it is first."""
        return chain.from_iterable(self._lines.values())

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def append(self, who: Who, item: Item) -> None:
        """Add an item behind its person's others."""
        self._lines.setdefault(who, deque()).append(item)

    def put_back(self, who: Who, item: Item) -> None:
        """Return an item that was taken, in front of its person's others; their turn does not change."""
        self._lines.setdefault(who, deque()).appendleft(item)

    def count(self, who: Who) -> int:
        """Return how many items of a person wait."""
        return len(self._lines.get(who, ()))

    def first(self, may_go: Callable[[Item], bool] = lambda _: True) -> Item | None:
        """Return the first item in turn that may go, which stays; None when there is none."""
        return next(filter(may_go, self), None)

    def take(self, who: Who, item: Item) -> None:
        """Take an item that is served; its person goes behind all others."""
        self.remove(who, item)
        if who in self._lines:
            self._lines[who] = self._lines.pop(who)

    def remove(self, who: Who, item: Item) -> None:
        """Take an item out of turn, as when its person left; ValueError when it does not wait."""
        line = self._lines.get(who, deque())
        line.remove(item)
        if not line:
            del self._lines[who]
