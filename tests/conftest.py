"""The servers and clients every test may ask for; nothing starts before the first test needs it."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from contextlib import suppress

import hypothesis
import pytest
from django.conf import settings
from django.core.management.base import CommandError
from django.test import TransactionTestCase
from redis import Redis
from whitenoise.middleware import WhiteNoiseMiddleware

from engines.network.guard import address_guard, allow_places
from samproject.supervisor.embedded import EmbeddedServices
from tests.beforehand.cluster import copy_cluster
from tests.beforehand.database import do_not_wait_for_the_disk
from tests.quick_flush import empty_tables
from tests.redis_admin import admin_redis

FLUSHES = 5

# The same examples for everybody: a change is judged by what it changes. SAM_RANDOM_EXAMPLES=1 looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True)
if not os.environ.get("SAM_RANDOM_EXAMPLES"):
    hypothesis.settings.load_profile("same")

pytest_plugins = [
    "tests.beforehand.kept",
    "tests.fixtures_models",
    "tests.fixtures_templates",
    "tests.world.fixtures",
    "tests.pages.fixtures",
    "tests.attacks.plugin",
]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while all tests are read, nor later among what stays until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


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


@pytest.fixture(scope="session", autouse=True)
def static_files_listed_once() -> Iterator[None]:
    """Each client of a test makes middleware of its own, which would look at every static file again."""
    listed: dict[str, object] = {}
    list_files = WhiteNoiseMiddleware.add_files_from_finders

    def take_listed(middleware: WhiteNoiseMiddleware) -> None:
        if not listed:
            list_files(middleware)
            listed.update(middleware.files)
        middleware.files = dict(listed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", take_listed)
        yield


@pytest.fixture(scope="session")
def has_tables() -> bool:
    """Whether the run's PostgreSQL begins with the tests' tables, which were made beforehand."""
    return settings.SAM_EMBEDDED_POSTGRES and copy_cluster(settings.SAM_LOCATIONS)


@pytest.fixture(scope="session")
def services(has_tables: bool) -> Iterator[EmbeddedServices]:
    """PostgreSQL and Redis of this run, except those that DATABASE_URL and REDIS_URL name."""
    with EmbeddedServices(
        settings.SAM_LOCATIONS,
        postgres=settings.SAM_EMBEDDED_POSTGRES,
        redis=settings.SAM_EMBEDDED_REDIS,
    ) as running:
        if settings.SAM_EMBEDDED_POSTGRES:
            do_not_wait_for_the_disk()
        yield running


@pytest.fixture(scope="session")
def django_db_modify_db_settings(services: EmbeddedServices) -> None:
    """Have the servers ready before pytest-django creates the test database."""


@pytest.fixture(scope="session")
def django_db_keepdb(has_tables: bool) -> bool:
    """Whether there is a test database already; it goes with its servers."""
    return has_tables


@pytest.fixture
def redis_client(services: EmbeddedServices) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with admin_redis(decode_responses=True) as client:
        client.flushall()
        yield client
