"""The servers and clients every test may ask for; nothing starts before the first test needs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from redis import Redis

from samproject.supervisor.embedded import EmbeddedServices

pytest_plugins = ["tests.fixtures_models", "tests.world.fixtures"]


@pytest.fixture(scope="session")
def services() -> Iterator[EmbeddedServices]:
    """PostgreSQL and Redis of this run, except those that DATABASE_URL and REDIS_URL name."""
    with EmbeddedServices(
        settings.SAM_LOCATIONS,
        postgres=settings.SAM_EMBEDDED_POSTGRES,
        redis=settings.SAM_EMBEDDED_REDIS,
    ) as running:
        yield running


@pytest.fixture(scope="session")
def django_db_modify_db_settings(services: EmbeddedServices) -> None:
    """Have the servers ready before pytest-django creates the test database."""


@pytest.fixture
def redis_client(services: EmbeddedServices) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with Redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
        client.flushall()
        yield client
