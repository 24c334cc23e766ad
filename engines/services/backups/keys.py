"""The keys that seal this installation's backups, and wrapping archives' keys anew."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from django.conf import settings

from engines.archive import MasterKeyRing, WrappedKey, rewrap
from engines.files.artifacts import Artifact, ArtifactStore


@cache
def backup_keys() -> MasterKeyRing:
    """Return the key in use and the earlier ones."""
    return MasterKeyRing.from_secret(
        "\n".join([settings.SAM_BACKUP_KEY, *settings.SAM_BACKUP_OLD_KEYS])
    )


def is_current(wrapped: WrappedKey, keys: MasterKeyRing) -> bool:
    """Whether an archive's key is wrapped by the master key in use."""
    return wrapped.key_id == keys.current.key_id


def wrap_anew(
    artifact_key: str, wrapped: WrappedKey, keys: MasterKeyRing, store: ArtifactStore
) -> tuple[Artifact, WrappedKey]:
    """Store a copy of an archive whose key the master key in use has wrapped; the old file stays.

    Raises ArchiveError when no configured key opens it, ArtifactMissingError.
    """
    with tempfile.TemporaryDirectory(prefix="sam-rewrap-") as folder:
        path = Path(folder) / "archive.sealed"
        with store.open(artifact_key) as source, path.open("wb") as target:
            fresh = rewrap(source, target, wrapped, keys)
        return store.put_file(path, kind=artifact_key.split("/")[0]), fresh
