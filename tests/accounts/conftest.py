"""People who sign in, mails that went out, and counters that begin at nothing."""

from __future__ import annotations

import pytest
from django.test import Client
from redis import Redis

from tests.accounts.browser import Browser
from tests.api.conftest import engines
from tests.api.roles import People, make_people

__all__ = ["engines"]


@pytest.fixture(autouse=True)
def fresh(redis_client: Redis) -> None:
    """Nobody failed or asked for anything yet."""


@pytest.fixture
def people(db: None) -> People:
    found = make_people()
    for user in (found.alice, found.bob, found.administrator):
        user.email = f"{user.username}@example.org"
        user.save(update_fields=["email"])
    return found


@pytest.fixture
def browser() -> Browser:
    return Browser(Client())
