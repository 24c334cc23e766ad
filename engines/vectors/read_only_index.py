"""An index file mapped into memory, checked before it is used and never changed.

FAISS loads a flipped bit silently and crashes when a mapped index is changed. So the checksum is taken
first, over the same open file that is then mapped (a name could meanwhile mean another file), every
byte of the header must be the expected one before FAISS sees it, and no method here changes anything.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
from pathlib import Path
from typing import Any, BinaryIO

import faiss
import numpy as np
from numpy.typing import NDArray

from engines.exceptions import IndexFileError
from engines.files.durable import BLOCK, open_regular
from engines.vectors.hits import Hits, exact_scores, unit_query
from engines.vectors.index_file import (
    HEADER_BYTES,
    VECTORS_AT,
    check_shape,
    file_size,
    header_bytes,
    ids_ascend,
    ids_at,
)

_FAISS: Any = faiss
"""Untyped: its type stubs lack the zero-copy reader and the arguments of search parameters."""

_DESERIALISING = threading.Lock()
"""FAISS's size limit is one for the whole process."""

_ROUNDING = 1e-5
"""More than FAISS's single-precision scores of unit vectors can be off by."""
_SPARE = 16
_GROWTH = 4


class ReadOnlyIndex:
    """A checked index; searches from any number of threads at once."""

    def __init__(self, mapped: mmap.mmap, count: int, dimension: int) -> None:
        """Built by ``open_index`` only, from a mapping whose checksum and header were checked."""
        self.count = count
        self.dimension = dimension
        # The arrays keep the mapping alive, and FAISS reads from it without a copy: closing the file is
        # safe, dropping the mapping would crash the process.
        self._bytes = np.frombuffer(mapped, np.uint8)
        rows = np.frombuffer(mapped, "<f4", count * dimension, VECTORS_AT)
        self._vectors = rows.reshape(count, dimension)
        ids = np.frombuffer(mapped, "<i8", count, ids_at(count, dimension) + 8)
        # Rows are found by bisection; ids out of order would give other rows without an error.
        if not ids_ascend(ids):
            raise IndexFileError(
                "The ids in the index file do not ascend, so SAM did not write it; build it again."
            )
        self._ids = ids
        self._faiss = _faiss_view(self._bytes)

    def ids(self) -> NDArray[np.int64]:
        """All ids (n,), ascending; a read-only view of the file."""
        return self._ids

    def vectors(self) -> NDArray[np.float32]:
        """All rows (n, d) in the order of ids, of length 1; a read-only view of the file."""
        return self._vectors

    def search(
        self, query: NDArray[np.floating], k: int, *, exclude: NDArray[np.int64] | None = None
    ) -> Hits:
        """Return the k rows nearest to ``query`` (d,) by cosine, none of ``exclude`` among them.

        Fewer when there are fewer. IndexFileError when the query is of another dimension or has no
        direction.
        """
        unit = unit_query(query, self.dimension)
        if self.count == 0 or k <= 0:
            return Hits.none()
        found = self._candidates(unit, k, _selection(exclude))
        rows = self._vectors[np.searchsorted(self._ids, found)]
        return Hits(found, exact_scores(unit, rows)).best(k)

    def _candidates(self, unit: NDArray[np.float32], k: int, parameters: Any) -> NDArray[np.int64]:
        """Return ids that surely hold the best k by exact score.

        FAISS's scores are rounded and it picks any of several equal rows (a repeated text has equal
        ones), so more are asked for until the last is clearly worse than the k-th.
        """
        # The number of OpenMP threads belongs to the calling thread; one query gains nothing from more.
        _FAISS.omp_set_num_threads(1)
        wanted = min(self.count, k + _SPARE)
        while True:
            scores, ids = self._faiss.search(unit[np.newaxis], wanted, params=parameters)
            complete = wanted == self.count or ids[0, -1] < 0
            if complete or scores[0, k - 1] - scores[0, -1] > _ROUNDING:
                found: NDArray[np.int64] = ids[0][ids[0] >= 0]
                return found
            wanted = min(self.count, wanted * _GROWTH)


def open_index(path: Path, *, sha256: str, count: int, dimension: int) -> ReadOnlyIndex:
    """Check a file against what its row says (digest in hex, rows, numbers per row), then map it.

    The file must not be written to while mapped; putting another in its place is safe.
    IndexFileError when it is missing, or differs in any of the three.
    """
    check_shape(count, dimension)
    try:
        with open_regular(path) as file:
            _check_file(file, path.name, sha256, (count, dimension))
            # The descriptor that was just hashed, not the name: the name may mean another file by now.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise IndexFileError(
            f"The index file cannot be opened ({error}); build the index again from its rows."
        ) from error
    return ReadOnlyIndex(mapped, count, dimension)


def _check_file(file: BinaryIO, name: str, sha256: str, shape: tuple[int, int]) -> None:
    count, dimension = shape
    size = os.fstat(file.fileno()).st_size
    if size != file_size(count, dimension) or file.read(HEADER_BYTES) != header_bytes(*shape):
        raise IndexFileError(
            f"The index file {name} ({size} bytes) does not hold {count} rows of {dimension} numbers "
            "as its row says; build the index again from its rows."
        )
    # The header fixes every other number FAISS reads; this one stands behind the vectors.
    file.seek(ids_at(count, dimension))
    stated = int.from_bytes(file.read(8), "little")
    file.seek(0)
    actual = _digest(file)
    if stated != count or actual != sha256:
        raise IndexFileError(
            f"The index file {name} was changed or damaged: its SHA-256 is {actual}, expected "
            f"{sha256}. Build the index again from its rows."
        )


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _faiss_view(content: NDArray[np.uint8]) -> Any:
    """Give FAISS the mapped bytes without a copy; they stay mapped as long as the caller holds them."""
    with _DESERIALISING:
        # FAISS refuses to allocate more than this, which no checked file asks for.
        _FAISS.set_deserialization_vector_byte_limit(content.size)
        reader = _FAISS.ZeroCopyIOReader(_FAISS.swig_ptr(content), content.size)
        try:
            return _FAISS.read_index(reader)
        except RuntimeError as error:
            raise IndexFileError(
                "FAISS does not accept the index file though its checksum is right, so the installed "
                f"version reads another format ({error}); build the index again from its rows."
            ) from error


def _selection(exclude: NDArray[np.int64] | None) -> Any:
    if exclude is None or len(exclude) == 0:
        return None
    unwanted = _FAISS.IDSelectorBatch(np.ascontiguousarray(exclude, dtype=np.int64))
    return _FAISS.SearchParameters(sel=_FAISS.IDSelectorNot(unwanted))
