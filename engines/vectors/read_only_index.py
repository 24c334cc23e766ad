"""An index file mapped into memory, checked before it is used and never changed.

FAISS loads a flipped bit silently and crashes when a mapped index is changed. So the checksum is taken
first, over the same open file that is then mapped (a name could meanwhile mean another file), every
byte of the header must be the expected one before FAISS sees it, and no method here changes anything.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import IndexFileError
from engines.vectors.faiss_view import FAISS, not_among, view_bytes
from engines.vectors.hits import SPARE, Hits, exact_scores, unit_query
from engines.vectors.index_file import VECTORS_AT, ids_ascend, ids_at, unit_rows

_ROUNDING = 1e-5
"""More than FAISS's single-precision scores of unit vectors can be off by."""
_GROWTH = 4
SAME_VECTOR = 0.9999
"""Cosine from which a row is the vector that was stored."""


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
        self._faiss = view_bytes(self._bytes)

    @property
    def recall(self) -> float | None:
        """None: all that is nearest is found."""
        return None

    def ids(self) -> NDArray[np.int64]:
        """All ids (n,), ascending; a read-only view of the file."""
        return self._ids

    def vectors(self) -> NDArray[np.float32]:
        """All rows (n, d) in the order of ids, of length 1; a read-only view of the file."""
        return self._vectors

    def holds(self, ids: NDArray[np.int64], vectors: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell of each id whether its row in the file is this vector: only the length was brought to 1."""
        if self.count == 0:
            return np.zeros(len(ids), np.bool_)
        at = np.minimum(np.searchsorted(self._ids, ids), self.count - 1)
        cosines = (self._vectors[at] * unit_rows(vectors)).sum(axis=1)
        same: NDArray[np.bool_] = (self._ids[at] == ids) & (cosines >= SAME_VECTOR)
        return same

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
        found = self._candidates(unit, k, not_among(exclude))
        rows = self._vectors[np.searchsorted(self._ids, found)]
        return Hits(found, exact_scores(unit, rows)).best(k)

    def _candidates(self, unit: NDArray[np.float32], k: int, selector: Any) -> NDArray[np.int64]:
        """Return ids that surely hold the best k by exact score.

        FAISS's scores are rounded and it picks any of several equal rows (a repeated text has equal
        ones), so more are asked for until the last is clearly worse than the k-th.
        """
        # The number of OpenMP threads belongs to the calling thread; one query gains nothing from more.
        FAISS.omp_set_num_threads(1)
        parameters = FAISS.SearchParameters(sel=selector) if selector is not None else None
        wanted = min(self.count, k + SPARE)
        while True:
            scores, ids = self._faiss.search(unit[np.newaxis], wanted, params=parameters)
            complete = wanted == self.count or ids[0, -1] < 0
            if complete or scores[0, k - 1] - scores[0, -1] > _ROUNDING:
                found: NDArray[np.int64] = ids[0][ids[0] >= 0]
                return found
            wanted = min(self.count, wanted * _GROWTH)
