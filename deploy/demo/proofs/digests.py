"""Files on the host held against what the hub publishes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx2

from deploy.demo.errors import DemoError
from deploy.demo.models.engine_files import ENGINES, DemoEngine
from engines.models import CopyStatus, ModelCopy


def digests(hub: str) -> dict[str, tuple[str, str]]:
    """Return model id → (SHA-256 of the file on the host's disk, SHA-256 the hub states)."""
    return {engine.model_id: (_on_disk(engine), _published(hub, engine)) for engine in ENGINES}


def _on_disk(engine: DemoEngine) -> str:
    copy = ModelCopy.objects.filter(
        revision__model__model_id=engine.model_id, status=CopyStatus.DOWNLOADED
    ).last()
    if copy is None:
        return "no copy"
    with Path(copy.path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _published(hub: str, engine: DemoEngine) -> str:
    try:
        answer = httpx2.get(
            f"{hub}/api/models/{engine.repository}/tree/main", trust_env=False
        ).raise_for_status()
    except httpx2.HTTPError as error:
        raise DemoError(f"The local hub did not answer: {error}.") from error
    entry = next(entry for entry in answer.json() if entry["path"] == engine.filename)
    return str(entry["lfs"]["oid"])
