from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from pytest_django.plugin import DjangoDbBlocker

from engines.models import ModelRevision
from migrations_app.serving.protocol import LIVE_KINDS
from samproject.supervisor.embedded import EmbeddedServices
from tests.attacks.served import Target
from tests.attacks.world import World, make_world
from tests.openai_api.web import WebProcess
from tests.redis_admin import admin_redis
from tests.tokens import token_for
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from tests.worker.processes import LIVE, WorkerProcess

CHAT = {"model": "sam", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 4}
WIDE = {
    "SAM_RATE_ANONYMOUS": "1000000/s",
    "SAM_RATE_USER": "1000000/s",
    "SAM_RATE_WORK": "1000000/s",
    # Counted, so that a place that is never given back is seen; never reached.
    "SAM_ANSWERS_AT_ONCE": "1000",
    "SAM_UPLOADS_AT_ONCE": "1000",
    # Nothing answers there: what asks the Hub is told so, and no test leaves this machine.
    "HF_ENDPOINT": "http://127.0.0.1:9",
}
"""Limits that an attack would end at; they have tests of their own (tests/limits)."""


@pytest.fixture(scope="module")
def target(
    tmp_path_factory: pytest.TempPathFactory,
    services: EmbeddedServices,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("attacked")
    admin_redis().flushall()
    with django_db_blocker.unblock():
        worker = WorkerProcess(folder, LIVE, SAM_ENGINE_THREADS="1")
        environment = {**worker._environment(), **WIDE}
        with worker, WebProcess(folder, environment) as web, admin_redis() as redis:
            yield Target(web, worker, redis)


@pytest.fixture
def engine(transactional_db: None, target: Target, tiny_llama: Path) -> ModelRevision:
    """An engine that the target's worker serves."""
    return make_revision(tiny_llama, make_host(announces=[f"live.{kind}" for kind in LIVE_KINDS]))


@pytest.fixture
def attacked(engine: ModelRevision, target: Target) -> World:
    """A world whose people talk to an engine that answers, and is loaded."""
    found = make_world(engine)
    with target.web.client(token_for(found.people.alice)) as client:
        answer = client.post("chat/completions", json=CHAT)
        assert answer.status_code == 200, answer.content
        client.post("embeddings", json={"model": "sam", "input": "Hi."})
    return found


@pytest.fixture
def world(db: None) -> Iterator[World]:
    """A world without any server."""
    cache.clear()
    yield make_world()
    cache.clear()
