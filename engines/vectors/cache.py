"""Opened index files, kept for the next search; a file is checked once while it stays here."""

from __future__ import annotations

import threading
from collections import OrderedDict

from engines.vectors.index_file import IndexFile
from engines.vectors.opening import OpenIndex, open_index


class IndexCache:
    """Holds the ``capacity`` most recently used indexes, by digest; thread-safe.

    An index that is evicted stays usable for searches that already have it. Lock order: a file's opening
    lock, then the cache's; the cache's is never held while a file is read.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._indexes: OrderedDict[str, OpenIndex] = OrderedDict()

    def get(self, file: IndexFile) -> OpenIndex:
        """Return the opened index; IndexFileError, and nothing kept, when the file is not as stated."""
        with self._lock:
            if (index := self._lookup(file)) is not None:
                return index
            # One lock for each file: two threads must not hash the same gigabytes, and a search in another
            # index must not wait for them.
            opening = self._opening.setdefault(file.sha256, threading.Lock())
        with opening:
            return self._open(file)

    def drop(self, sha256: str) -> None:
        """Forget a file, as before it is deleted."""
        with self._lock:
            self._indexes.pop(sha256, None)

    def _open(self, file: IndexFile) -> OpenIndex:
        """Open unless another thread did while this one waited for the file's lock."""
        with self._lock:
            if (index := self._lookup(file)) is not None:
                return index
        try:
            index = open_index(
                file.path, sha256=file.sha256, count=file.count, dimension=file.dimension
            )
            self._keep(file.sha256, index)
            return index
        finally:
            with self._lock:
                self._opening.pop(file.sha256, None)

    def _lookup(self, file: IndexFile) -> OpenIndex | None:
        index = self._indexes.get(file.sha256)
        # The digest was checked together with the shape: another shape needs another check.
        if index is None or (index.count, index.dimension) != (file.count, file.dimension):
            return None
        self._indexes.move_to_end(file.sha256)
        return index

    def _keep(self, sha256: str, index: OpenIndex) -> None:
        with self._lock:
            self._indexes[sha256] = index
            while len(self._indexes) > self._capacity:
                self._indexes.popitem(last=False)
