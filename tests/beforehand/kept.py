"""What is slow to start and is left as it was found, kept from file to file while tests ask for it.

Files that ask for the same follow one another, and it ends before the first test of a file that does not ask.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Generic, TypeVar

import pytest

T = TypeVar("T")
KEPT: list[Kept[Any]] = []
"""All that is kept in this process."""
EARLY = "early"
"""The mark of files that take long: begun at the end, they would leave the other processes idle."""


FIRST = ("workers", "chromium")
"""Who asks for these takes long too, and follows at once; so their files also come one after another."""


class Kept(Generic[T]):
    """What one fixture hands out in this process."""

    def __init__(self, fixture: str) -> None:
        self.fixture = fixture
        KEPT.append(self)
        self._running: tuple[T, ExitStack] | None = None

    def take(self, start: Callable[[], AbstractContextManager[T]]) -> T:
        """Return what runs already, or else what ``start`` opens."""
        if self._running is None:
            with ExitStack() as stack:
                self._running = stack.enter_context(start()), stack.pop_all()
        return self._running[0]

    def end(self) -> None:
        """End it, if it runs."""
        running, self._running = self._running, None
        if running is not None:
            running[1].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """End what the next file does not ask for; a file has its own until its last test."""
    try:
        return (yield)
    finally:
        for kept in KEPT:
            if nextitem is None or not (
                nextitem.path == item.path or _asks(nextitem, kept.fixture)
            ):
                kept.end()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; a file's tests stay in their order."""
    ranks: dict[object, int] = {}
    for item in items:
        ranks.setdefault(item.path, _rank(item))
    items.sort(key=lambda item: ranks[item.path])


def _rank(first: pytest.Item) -> int:
    """Return the place of a file in the run, told from its first test."""
    if first.get_closest_marker(EARLY):
        return 0
    asked = (number for number, fixture in enumerate(FIRST, 1) if _asks(first, fixture))
    return next(asked, len(FIRST) + 1)


def _asks(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())
