from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from engines.files.artifacts import ArtifactStore
from engines.models import Fingerprint, KnowledgeBase
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import Threads, make_base, make_space


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def space(db: None) -> Fingerprint:
    return make_space("hash-a")


@pytest.fixture
def base(owner: User, space: Fingerprint) -> KnowledgeBase:
    return make_base(owner, space)


@pytest.fixture
def threads() -> Iterator[Threads]:
    running = Threads()
    yield running
    running.close()
