"""Fixtures of the world: the Hub, the workers, and the person who is moved."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from pytest_django.plugin import DjangoDbBlocker

from deploy.demo.hub.server import HubServer
from engines.files.artifacts import ArtifactStore
from samproject.supervisor.embedded import EmbeddedServices
from tests.redis_admin import admin_redis
from tests.world.people import Person, hub_folder, make_person
from tests.world.workers import Workers, forget_hosts


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="session")
def hub(world_folder: Path, tiny_llama: Path, tiny_qwen: Path) -> Iterator[HubServer]:
    with HubServer(hub_folder(world_folder / "hub", tiny_llama, tiny_qwen)) as server:
        yield server


@pytest.fixture(scope="module")
def workers(
    tmp_path_factory: pytest.TempPathFactory,
    services: EmbeddedServices,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Workers]:
    """One module's own: idle workers would answer for the host that another module plays."""
    folder = tmp_path_factory.mktemp("workers")
    with Workers(folder / "data", folder / "faults") as running:
        yield running
    with django_db_blocker.unblock():
        forget_hosts()


@pytest.fixture
def store() -> ArtifactStore:
    return ArtifactStore(settings.SAM_ARTIFACT_STORE)


@pytest.fixture
def ada(
    transactional_db: None,
    workers: Workers,
    hub: HubServer,
    store: ArtifactStore,
    world_folder: Path,
) -> Person:
    """Ada before her migration, with an idle world around her: no file of the target, no message."""
    admin_redis().flushall()
    shutil.rmtree(workers.models, ignore_errors=True)
    return make_person(hub.endpoint, workers.models, store, world_folder)
