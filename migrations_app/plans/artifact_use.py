"""Which files of the artifact store a row names: every table with a key is here, and only here.

Files are named by their content, so two rows may name the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from engines.files.artifacts import ArtifactStore
from engines.models import LoraAdapter, VectorIndex
from migrations_app.models import Backup

ARCHIVES = "backups/"
"""How the keys of backups begin."""


def named_keys(keys: Collection[str]) -> set[str]:
    """Return those of these keys that a row names: such a file is needed."""
    adapters = LoraAdapter.objects.filter(artifact_key__in=keys).order_by()
    backups = Backup.objects.filter(artifact_key__in=keys).order_by()
    indexes = VectorIndex.objects.filter(file_key__in=keys).order_by()
    rows = adapters.values_list("artifact_key").union(
        backups.values_list("artifact_key"), indexes.values_list("file_key")
    )
    return {key for (key,) in rows}


def is_named(key: str) -> bool:
    """Whether a row names this file."""
    return key in named_keys([key])


def remove_unused(keys: Iterable[str], store: ArtifactStore) -> None:
    """Remove those of the files that no row names; call it after the commit that let go of them.

    Only for contents that nobody else stores, such as archives and indexes: a file whose row is still to be
    committed would be taken from its writer.
    """
    for key in sorted(set(keys)):
        if not is_named(key):
            store.delete(key)
