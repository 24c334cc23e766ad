"""What is slow to start and is left as it was found, kept from file to file while tests ask for it.

It ends before the first test of a file that does not ask.
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
"""The mark of a file that computes for long: begun at the end, it would leave the other processes idle."""


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
    """Begin with the files that are marked so; a file's tests stay in their order."""
    ranks: dict[object, bool] = {}
    for item in items:
        ranks.setdefault(item.path, item.get_closest_marker(EARLY) is None)
    items.sort(key=lambda item: ranks[item.path])


def _asks(item: pytest.Item, fixture: str) -> bool:
    return fixture in getattr(item, "fixturenames", ())
