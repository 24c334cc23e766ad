"""Where a large base's lists lie: centres found on a sample, and the rows counted and bounded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from engines.vectors.approximate_file import MAX_LISTS, Bounds
from engines.vectors.index_file import unit_rows

_FAISS: Any = faiss
"""Untyped: its type stubs lack the arguments of its Python layer."""

Rows = NDArray[np.float16]
"""Rows (n, d) as the database keeps them, mapped from a file: one block of them is in memory."""

BLOCK_ROWS = 4096
TRAINING_BYTES = 128 * 1024 * 1024
"""Of the sample that centres are found on: what a build needs in memory, however large the base is."""
ROWS_PER_CENTRE = 32
"""Fewer say little about where a centre belongs."""
ROUNDS = 10
"""Of k-means: more hardly move a centre."""
SEED = 1
"""The same rows give the same centres, so that a build that was killed is repeated, not varied."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which list each row is in, and within which bounds each number lies."""

    centres: NDArray[np.float32]
    lists: NDArray[np.int32]
    bounds: Bounds


def count_lists(count: int, dimension: int) -> int:
    """Return the number of lists: twice the root of the rows, as far as a sample can find centres."""
    sample = min(count, TRAINING_BYTES // (4 * dimension))
    wanted = min(2 * count**0.5, sample / ROWS_PER_CENTRE, MAX_LISTS)
    return 1 << max(int(wanted).bit_length() - 1, 0)


def lay_out(rows: Rows, checkpoint: Callable[[], None]) -> Layout:
    """Find centres on an even sample, then go once through all rows. ``checkpoint`` may raise."""
    _use_half_the_cores()
    count, dimension = rows.shape
    centres = _find_centres(rows, count_lists(count, dimension))
    nearest = _FAISS.IndexFlatIP(dimension)
    nearest.add(centres)
    lists = np.empty(count, np.int32)
    least = np.full(dimension, np.inf, np.float32)
    greatest = -least
    for at, block in unit_blocks(rows):
        checkpoint()
        lists[at : at + len(block)] = nearest.search(block, 1)[1][:, 0]
        np.minimum(least, block.min(axis=0), out=least)
        np.maximum(greatest, block.max(axis=0), out=greatest)
    return Layout(centres, lists, Bounds(least, greatest - least))


def unit_blocks(rows: Rows) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield where a block begins and its rows, of length 1."""
    for at in range(0, len(rows), BLOCK_ROWS):
        yield at, unit_rows(rows[at : at + BLOCK_ROWS])


def spread_evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """Return at most ``wanted`` of ``count`` positions, spread evenly, the same each time."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))


def _find_centres(rows: Rows, lists: int) -> NDArray[np.float32]:
    count, dimension = rows.shape
    sample = spread_evenly(
        count, min(lists * ROWS_PER_CENTRE * 2, TRAINING_BYTES // (4 * dimension))
    )
    means = _FAISS.Kmeans(
        dimension,
        lists,
        niter=ROUNDS,
        spherical=True,
        seed=SEED,
        min_points_per_centroid=1,
        max_points_per_centroid=len(sample),
    )
    means.train(unit_rows(rows[sample]))
    centres: NDArray[np.float32] = means.centroids
    return centres


def _use_half_the_cores() -> None:
    """The number of OpenMP threads belongs to the calling thread; a build leaves room for answers."""
    _FAISS.omp_set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2))
