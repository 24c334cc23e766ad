"""Which files of the artifact store a row still names: two rows may name the same content."""

from __future__ import annotations

from collections.abc import Iterable

from engines.files.artifacts import ArtifactStore
from engines.models import LoraAdapter, VectorIndex
from migrations_app.models import Backup


def is_artifact_used(key: str) -> bool:
    """Whether an adapter, a backup or an index has this file."""
    return (
        LoraAdapter.objects.filter(artifact_key=key).exists()
        or Backup.objects.filter(artifact_key=key).exists()
        or VectorIndex.objects.filter(file_key=key).exists()
    )


def remove_unused(keys: Iterable[str], store: ArtifactStore) -> None:
    """Remove those of the files that no row names; call it after the commit that let go of them."""
    for key in sorted(set(keys)):
        if not is_artifact_used(key):
            store.delete(key)
