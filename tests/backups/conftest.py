from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from redis import Redis

from engines.files.artifacts import ArtifactStore
from tests.plans.hash_world import HashWorld, Lender, make_world


@pytest.fixture
def world(
    transactional_db: None,
    redis_client: Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> HashWorld:
    """Ada on the engine ``old``; nobody but the test runs steps."""
    lender = Lender()
    monkeypatch.setattr("worker.steps.context.lend_embedder", lender.lend)
    world = make_world(tmp_path, ArtifactStore(settings.SAM_ARTIFACT_STORE), lender)
    world.uses(world.engine("old"))
    return world
