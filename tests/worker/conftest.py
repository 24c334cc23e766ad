from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from migrations_app.steps import HANDLERS, StepHandler
from tests.worker.counted_engine import CountedEngine
from worker.steps.lease import LeaseKeeper

Install = Callable[[str, StepHandler], None]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to counted engines, in order."""
    entries: list[str] = []
    monkeypatch.setattr(CountedEngine, "log", entries)
    return entries


@pytest.fixture(autouse=True)
def empty_redis(redis_client: Redis) -> None:
    """No message of an earlier test."""


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> LeaseKeeper:
    """The runner's own, which beats when the test says so: no thread renews or locks what a test lets run out."""
    quiet = LeaseKeeper()
    monkeypatch.setattr("worker.steps.lease.PeriodicThread.ensure_started", lambda _thread: None)
    monkeypatch.setattr("worker.steps.runner.keeper", quiet)
    return quiet


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Have a kind of step done by a handler of the test."""

    def install(kind: str, handler: StepHandler) -> None:
        monkeypatch.setitem(HANDLERS, kind, handler)

    return install
