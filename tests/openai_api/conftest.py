from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from django.contrib.auth.models import User
from pytest_django.plugin import DjangoDbBlocker

from engines.models import EnginePreference, ModelRevision
from migrations_app.serving.protocol import LIVE_KINDS
from samproject.supervisor.embedded import EmbeddedServices
from tests.openai_api.web import WebProcess
from tests.redis_admin import admin_redis
from tests.tokens import token_for
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from tests.worker.processes import LIVE, WorkerProcess
from tests.world.workers import forget_hosts


class Served(NamedTuple):
    """The two processes that answer: web and live worker."""

    web: WebProcess
    worker: WorkerProcess


class Asker(NamedTuple):
    """A person with an engine and a client of it."""

    user: User
    revision: ModelRevision
    client: httpx2.Client


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """Both processes for as long as the block runs."""
    admin_redis().flushall()
    worker = WorkerProcess(folder, LIVE, SAM_ENGINE_THREADS="1")
    with worker, WebProcess(folder, worker._environment()) as web:
        yield Served(web, worker)
    forget_hosts()


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    services: EmbeddedServices,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Served]:
    with django_db_blocker.unblock(), serve(tmp_path_factory.mktemp("served")) as both:
        yield both


@pytest.fixture
def asker(transactional_db: None, served: Served, tiny_llama: Path) -> Iterator[Asker]:
    host = make_host(announces=[f"live.{kind}" for kind in LIVE_KINDS])
    revision = make_revision(tiny_llama, host)
    user = User.objects.create(username="alan")
    EnginePreference.objects.create(user=user, engine=revision.model, revision=revision)
    with served.web.client(token_for(user)) as client:
        yield Asker(user, revision, client)
