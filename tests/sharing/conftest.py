from __future__ import annotations

from pathlib import Path

import pytest

from engines.sharing.places import SharedPlaces
from tests.sharing.support import DATA, SHA256


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "models" / SHA256 / "tiny.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    return path


@pytest.fixture
def places(tmp_path: Path) -> SharedPlaces:
    return SharedPlaces(tmp_path / "hf", tmp_path / "ollama")
