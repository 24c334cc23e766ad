"""Search results: exact scores and one order, whichever part of the index they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import IndexFileError
from engines.vectors.index_file import unit_rows

SPARE = 16
"""Candidates asked for beside those wanted: scores of files are rounded or compressed."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Best first: ``ids`` (m,) int64 and their cosines ``scores`` (m,) float64; equal scores by id."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float64]

    @classmethod
    def none(cls) -> Hits:
        return cls(np.empty(0, np.int64), np.empty(0, np.float64))

    def best(self, k: int) -> Hits:
        """Return the first k in order: score descending, then id ascending."""
        order = np.lexsort((self.ids, -self.scores))[:k]
        return Hits(self.ids[order], self.scores[order])


def unit_query(query: NDArray[np.floating], dimension: int) -> NDArray[np.float32]:
    """Check a query (d,) and bring it to length 1; IndexFileError when it cannot be compared."""
    if query.shape != (dimension,):
        raise IndexFileError(
            f"The query has the shape {query.shape}, the index compares ({dimension},); embed the "
            "query with the index's own embedder."
        )
    unit: NDArray[np.float32] = unit_rows(query[np.newaxis])[0]
    return unit


def exact_scores(query: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosines of a unit query (d,) and unit rows (m, d).

    Summed in double precision row by row, so that a text scores the same from a file and from a delta.
    """
    products = rows.astype(np.float64) * query.astype(np.float64)
    return np.asarray(products.sum(axis=1), dtype=np.float64)


def search_flat(
    query: NDArray[np.floating],
    ids: NDArray[np.int64],
    vectors: NDArray[np.floating],
    k: int,
) -> Hits:
    """Compare a query (d,) with all ``vectors`` (m, d) of ``ids`` (m,): for a small delta.

    IndexFileError when shapes do not fit or a vector has no direction.
    """
    if vectors.ndim != 2 or len(ids) != len(vectors):  # noqa: PLR2004 - a matrix
        raise IndexFileError(
            f"{len(ids)} ids do not belong to vectors of the shape {vectors.shape}; read both again."
        )
    unit = unit_query(query, vectors.shape[1])
    return Hits(np.asarray(ids, np.int64), exact_scores(unit, unit_rows(vectors))).best(k)


def merge_hits(parts: list[Hits], k: int) -> Hits:
    """Return the best k of several searches; of an id found twice the better score."""
    ids = np.concatenate([Hits.none().ids, *(part.ids for part in parts)])
    scores = np.concatenate([Hits.none().scores, *(part.scores for part in parts)])
    ordered = Hits(ids, scores).best(len(ids))
    # A text may be in the file and in the delta; sorted by score, the first of an id is its better one.
    _, first = np.unique(ordered.ids, return_index=True)
    keep = np.sort(first)[:k]
    return Hits(ordered.ids[keep], ordered.scores[keep])
