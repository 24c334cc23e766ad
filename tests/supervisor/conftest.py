from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from samproject.supervisor.locations import Locations, locate


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a server's user can pass through, which pytest's own private one forbids."""
    path = Path(tempfile.mkdtemp(prefix="sam-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def locations(folder: Path) -> Iterator[Locations]:
    found = locate(folder / "data")
    yield found
    shutil.rmtree(found.run, ignore_errors=True)
