"""What steps use and share: one of each for the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import close_old_connections

from engines.archive import MasterKeyRing
from engines.files.artifacts import ArtifactStore
from engines.files.private import private_folder
from engines.models import Host, ModelRevision
from engines.services.backups.keys import backup_keys
from engines.services.catalog.copies import copy_of, engine_spec, is_present
from engines.services.knowledge.embeddings import Embedder
from engines.specs import EmbeddingSpec
from engines.vectors import IndexCache
from migrations_app.serving.client import LiveClient
from migrations_app.serving.embedder import RemoteEmbedder
from worker.host.engine_pool import engine_pool

INDEXES_OPEN = 64
REMOTE_SECONDS = 120.0
"""How long a host may take for a batch of texts, its model's loading included."""


@cache
def artifact_store() -> ArtifactStore:
    """Return the store that all hosts share."""
    return ArtifactStore(settings.SAM_ARTIFACT_STORE)


@cache
def master_keys() -> MasterKeyRing:
    """Return the keys that seal backups."""
    return backup_keys()


@cache
def index_cache() -> IndexCache:
    """Return the opened index files of this process."""
    return IndexCache(INDEXES_OPEN)


@cache
def live_client() -> LiveClient:
    """Return the client of the live workers."""
    return LiveClient(settings.REDIS_URL)


def scratch_folder() -> Path:
    """Return the folder for unfinished files; leftovers are removed by the sweeper."""
    folder: Path = settings.SAM_DATA_DIR / "scratch"
    return private_folder(folder)


def this_host() -> Host | None:
    """Return this machine's row; None on a machine without work and live workers."""
    return Host.objects.filter(name=settings.SAM_HOST_NAME).first()


@contextmanager
def lend_embedder(
    host: Host | None,
    revision: ModelRevision,
    spec: EmbeddingSpec,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[Embedder]:
    """Lend a child of this process when this host has the model's file, else another host's.

    ``waiting`` is called while there is no room for it here.
    """
    copy = copy_of(revision, host) if host is not None else None
    # What follows takes minutes; PostgreSQL has a process for each idle connection.
    close_old_connections()
    if copy is None or not is_present(copy):
        yield RemoteEmbedder(live_client(), revision_id=revision.pk, timeout=REMOTE_SECONDS)
        return
    wanted = engine_spec(revision, copy.path, embedding=spec)
    with engine_pool().acquire(wanted, waiting) as engine:
        yield engine
