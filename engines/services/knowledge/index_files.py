"""From an index's row to its opened file: one way for search, proofs and upkeep."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings

from engines.files.artifacts import ArtifactStore
from engines.models import VectorIndex
from engines.services.knowledge.fingerprints import spec_of
from engines.vectors import IndexCache, IndexFile, OpenIndex

OPEN_FILES = 256
"""Index files kept mapped in one process; mapped memory is the operating system's to reclaim."""

FOLDER = "index-cache"
"""Below the data folder: where copies from a store that is not local lie."""

_shared = IndexCache(OPEN_FILES)


@dataclass(frozen=True, slots=True)
class IndexFiles:
    """A store and the files opened from it; by default those of the whole process."""

    store: ArtifactStore
    cache: IndexCache = field(default_factory=lambda: _shared)

    def open(self, index: VectorIndex) -> OpenIndex | None:
        """Return the file that this row names, checked and mapped; None when it names none.

        Raises ArtifactMissingError or IndexFileError when it is gone or not the one described.
        """
        if index.base_seq is None:
            return None
        path = self.store.local_path(index.file_key, settings.SAM_DATA_DIR / FOLDER)
        dimension = spec_of(index.fingerprint).dimension
        return self.cache.get(IndexFile(path, index.file_sha256, index.file_count, dimension))
