from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings
from redis import Redis

from engines.files.artifacts import ArtifactStore
from tests.plans.hash_world import HashWorld, Lender, make_world


@pytest.fixture
def world(
    transactional_db: None,
    redis_client: Redis,
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> HashWorld:
    """Ada on the engine ``old``, with a store of her own; nobody but the test runs steps."""
    lender = Lender()
    settings.SAM_ARTIFACT_STORE = str(tmp_path / "artifacts")
    store = ArtifactStore(settings.SAM_ARTIFACT_STORE)
    monkeypatch.setattr("worker.steps.context.artifact_store", lambda: store)
    monkeypatch.setattr("worker.steps.context.lend_embedder", lender.lend)
    world = make_world(tmp_path, store, lender)
    world.uses(world.engine("old"))
    return world
