"""What is kept from file to file starts once, ends once, and starts anew after its end or a failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.beforehand import kept
from tests.beforehand.kept import Kept


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Kept[str]:
    monkeypatch.setattr(kept, "KEPT", [])
    return Kept("browser")


def test_it_starts_once_and_ends_once(one: Kept[str]) -> None:
    log: list[str] = []

    @contextmanager
    def start() -> Iterator[str]:
        log.append("starts")
        yield "it"
        log.append("ends")

    assert [one.take(start), one.take(start)] == ["it", "it"]
    one.end()
    one.end()
    assert log == ["starts", "ends"]
    assert one.take(start) == "it"
    assert log == ["starts", "ends", "starts"]


def test_what_could_not_start_is_not_kept(one: Kept[str]) -> None:
    def fail() -> AbstractContextManager[str]:
        raise OSError("no memory")

    for _ in range(2):
        with pytest.raises(OSError, match="no memory"):
            one.take(fail)
