from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from migrations_app.steps import HANDLERS, Handler

Install = Callable[[str, Handler], None]


@pytest.fixture(autouse=True)
def empty_redis(redis_client: Redis) -> None:
    """No message of an earlier test."""


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Have a kind of step done by a handler of the test."""

    def install(kind: str, handler: Handler) -> None:
        monkeypatch.setitem(HANDLERS, kind, handler)

    return install
