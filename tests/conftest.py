"""The servers and clients every test may ask for; nothing starts before the first test needs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import hypothesis
import pytest
from django.conf import settings
from django.core.management.base import CommandError
from django.test import TransactionTestCase
from psycopg import sql
from redis import Redis

from engines.network.guard import address_guard, allow_places
from samproject.supervisor.embedded import EmbeddedServices
from samproject.supervisor.roles import ROLE
from tests.quick_flush import empty_tables
from tests.redis_admin import admin_redis
from tests.supervisor.sql import owner_connection

FLUSHES = 5

# The same examples for everybody: a change is judged by what it changes. SAM_RANDOM_EXAMPLES=1 looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True)
if not os.environ.get("SAM_RANDOM_EXAMPLES"):
    hypothesis.settings.load_profile("same")

pytest_plugins = [
    "tests.fixtures_models",
    "tests.fixtures_templates",
    "tests.world.fixtures",
    "tests.pages.fixtures",
    "tests.attacks.plugin",
]


@pytest.fixture
def no_inner_addresses() -> Iterator[None]:
    """As in an installation whose administrator allowed none; the tests' own servers are inner ones."""
    before = address_guard()
    allow_places([])
    yield
    allow_places(before.allowed)


@pytest.fixture(scope="session", autouse=True)
def patient_flush() -> Iterator[None]:
    """Empty the tables again when a heartbeat that was just under way made PostgreSQL refuse it."""
    flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def flush_patiently(case: TransactionTestCase) -> None:
        if settings.SAM_EMBEDDED_POSTGRES and empty_tables():
            return
        for _ in range(FLUSHES - 1):
            with suppress(CommandError):
                flush(case)
                return
        flush(case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", flush_patiently)
        yield


@pytest.fixture(scope="session")
def services() -> Iterator[EmbeddedServices]:
    """PostgreSQL and Redis of this run, except those that DATABASE_URL and REDIS_URL name."""
    with EmbeddedServices(
        settings.SAM_LOCATIONS,
        postgres=settings.SAM_EMBEDDED_POSTGRES,
        redis=settings.SAM_EMBEDDED_REDIS,
    ) as running:
        if settings.SAM_EMBEDDED_POSTGRES:
            _do_not_wait_for_the_disk()
        yield running


def _do_not_wait_for_the_disk() -> None:
    """Halve the tests' time; a killed server still recovers, only a machine without power would not.

    Commits stay synchronous: their last ones would be lost with a killed server, not only with the machine.
    """
    with owner_connection(settings.SAM_LOCATIONS) as connection:
        # Only for the tests' own database.
        connection.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(sql.Identifier(ROLE)))
        # Only there are rows deleted without triggers: see quick_flush.py.
        connection.execute(
            sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(
                sql.Identifier(ROLE)
            )
        )
        for name in ("fsync", "full_page_writes"):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(name)))
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(services: EmbeddedServices) -> None:
    """Have the servers ready before pytest-django creates the test database."""


@pytest.fixture
def redis_client(services: EmbeddedServices) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with admin_redis(decode_responses=True) as client:
        client.flushall()
        yield client
