"""Opened index files, kept for the next search; a file is checked once while it stays here."""

from __future__ import annotations

import threading
from collections import OrderedDict

from engines.vectors.index_file import IndexFile
from engines.vectors.read_only_index import ReadOnlyIndex, open_index


class IndexCache:
    """Holds the ``capacity`` indexes used last, by digest; safe to use from many threads.

    One that falls out stays usable for whoever is searching it.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._indexes: OrderedDict[str, ReadOnlyIndex] = OrderedDict()

    def get(self, file: IndexFile) -> ReadOnlyIndex:
        """Return the opened index; IndexFileError, and nothing kept, when the file is not as stated."""
        with self._lock:
            if (index := self._lookup(file)) is not None:
                return index
            opening = self._opening.setdefault(file.sha256, threading.Lock())
        with opening:
            return self._open(file)

    def drop(self, sha256: str) -> None:
        """Forget a file, as before it is deleted."""
        with self._lock:
            self._indexes.pop(sha256, None)

    def _open(self, file: IndexFile) -> ReadOnlyIndex:
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

    def _lookup(self, file: IndexFile) -> ReadOnlyIndex | None:
        index = self._indexes.get(file.sha256)
        if index is None or (index.count, index.dimension) != (file.count, file.dimension):
            return None
        self._indexes.move_to_end(file.sha256)
        return index

    def _keep(self, sha256: str, index: ReadOnlyIndex) -> None:
        with self._lock:
            self._indexes[sha256] = index
            while len(self._indexes) > self._capacity:
                self._indexes.popitem(last=False)
