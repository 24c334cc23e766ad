from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from redis import Redis

from engines.files.artifacts import ArtifactStore
from tests.knowledge.world import Threads
from tests.plans.hash_world import HashWorld, Lender, make_world


@pytest.fixture
def world(
    transactional_db: None,
    redis_client: Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> HashWorld:
    """Ada on the engine ``old``, with ``new`` beside it; nobody but the test runs steps."""
    lender = Lender()
    monkeypatch.setattr("worker.steps.context.lend_embedder", lender.lend)
    world = make_world(tmp_path, ArtifactStore(settings.SAM_ARTIFACT_STORE), lender)
    world.uses(world.engine("old"))
    world.engine("new")
    return world


@pytest.fixture
def threads() -> Iterator[Threads]:
    running = Threads()
    yield running
    running.close()
