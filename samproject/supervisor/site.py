"""What this installation's settings say belongs to SAM's processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from samproject.supervisor.belongings import Belongings

LOCAL_STORE = "file://"


def site_belongings(port: int = 0, *, serves: bool = False) -> Belongings:
    """Return what the processes of this machine write, read and need; ``port`` is the web server's."""
    data: Path = settings.SAM_DATA_DIR
    own = ("scratch", "engine-adapters", "index-cache")
    return Belongings(
        data=data,
        folders=(
            settings.SAM_MODELS_DIR,
            settings.SAM_BATCH_SETTINGS,
            *_local_store(),
            *(data / name for name in own),
        ),
        secrets=(
            data / "secret-key",
            data / "backup-key",
            settings.SAM_LOCATIONS.postgres_password,
            settings.SAM_LOCATIONS.redis_password,
        ),
        needed=tuple(_needed()),
        ports=(port,) if serves else (),
    )


def _local_store() -> Iterator[Path]:
    store: str = settings.SAM_ARTIFACT_STORE
    if store.startswith(LOCAL_STORE):
        yield Path(store.removeprefix(LOCAL_STORE))


def _needed() -> Iterator[Path]:
    yield settings.SAM_DATA_DIR
    yield settings.BASE_DIR
    yield from (
        Path(sys.prefix, "bin"),
        Path(sys.base_prefix),
        Path(sys.executable).resolve().parent,
    )
    if settings.SAM_SHARE_MODELS:
        yield from (settings.HF_HUB_CACHE, settings.OLLAMA_MODELS)
