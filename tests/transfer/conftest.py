from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.hub.server import HubServer
from tests.transfer.support import NAME, REPO, Scene, content


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    published = tmp_path / "hub" / REPO / NAME
    published.parent.mkdir(parents=True)
    published.write_bytes(content(400_003))
    models = tmp_path / "models"
    models.mkdir()
    with HubServer(tmp_path / "hub") as hub:
        yield Scene(hub, published, models / NAME)
