"""A large base's file, mapped: candidates from its nearest lists, to be compared exactly by whoever asks."""

from __future__ import annotations

import mmap
import os
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import IndexFileError
from engines.vectors.approximate_file import (
    HEADER,
    ApproximateShape,
    Bounds,
    Measured,
    list_starts,
    read_header,
)
from engines.vectors.faiss_view import FAISS, not_among, view_bytes
from engines.vectors.hits import SPARE, Hits, unit_query
from engines.vectors.index_file import ids_ascend, unit_rows

MEASURED_AT = 10 + SPARE
"""Candidates with which the recall of a file is measured; for more, more lists are read."""
GROWTH = 4


class ApproximateIndex:
    """A checked index in lists; searches from any number of threads at once."""

    def __init__(self, mapped: mmap.mmap, shape: ApproximateShape, measured: Measured) -> None:
        """Built by ``map_file`` only.

        IndexFileError when a number in it is not the one that this shape has.
        """
        self.count = shape.count
        self.dimension = shape.dimension
        self.lists = shape.lists
        self.measured = measured
        self._shape = shape
        # The array keeps the mapping alive: FAISS reads from it without a copy.
        self._bytes = np.frombuffer(mapped, np.uint8)
        self._sizes = _checked_sizes(self._bytes, shape)
        bounds = np.frombuffer(mapped, "<f4", 2 * shape.dimension, shape.bounds_at)
        self._bounds = Bounds(bounds[: shape.dimension], bounds[shape.dimension :])
        self._faiss = view_bytes(self._bytes[HEADER.size :])

    @property
    def recall(self) -> float | None:
        """Share of the ten nearest that searches found when the file was built."""
        return self.measured.recall

    def ids(self) -> NDArray[np.int64]:
        """All ids (n,), ascending."""
        return self._by_id[0]

    def holds(self, ids: NDArray[np.int64], vectors: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell of each id whether its row in the file is this vector, compressed as all are."""
        if self.count == 0:
            return np.zeros(len(ids), np.bool_)
        known, places = self._by_id
        at = np.minimum(np.searchsorted(known, ids), self.count - 1)
        codes = self._bytes[places[at, np.newaxis] + np.arange(self.dimension)]
        wanted = self._bounds.compress(unit_rows(vectors.astype(np.float16)))
        same: NDArray[np.bool_] = (known[at] == ids) & (codes == wanted).all(axis=1)
        return same

    def search(
        self,
        query: NDArray[np.floating],
        k: int,
        *,
        exclude: NDArray[np.int64] | None = None,
        probes: int | None = None,
    ) -> Hits:
        """Return k candidates near ``query`` (d,), none of ``exclude``; their scores are of compressed rows.

        Fewer only when there are fewer. ``probes`` lists are read, by default as many as the recall was
        measured with, and more for more candidates. IndexFileError as of an exact index.
        """
        unit = unit_query(query, self.dimension)
        if self.count == 0 or k <= 0:
            return Hits.none()
        share = max(1.0, k / MEASURED_AT)
        read = probes or int(self.measured.probes * share)
        wanted = min(k, self.count)
        while True:
            hits = self._search(unit, wanted, min(read, self.lists), exclude)
            if len(hits.ids) == wanted or read >= self.lists:
                return hits.best(k)
            read *= GROWTH

    def _search(
        self, unit: NDArray[np.float32], k: int, probes: int, exclude: NDArray[np.int64] | None
    ) -> Hits:
        # The number of OpenMP threads belongs to the calling thread; one query gains nothing from more.
        FAISS.omp_set_num_threads(1)
        unwanted = not_among(exclude)
        chosen: dict[str, Any] = {"sel": unwanted} if unwanted is not None else {}
        parameters = FAISS.SearchParametersIVF(nprobe=probes, **chosen)
        scores, ids = self._faiss.search(unit[np.newaxis], k, params=parameters)
        there = ids[0] >= 0
        return Hits(ids[0][there], scores[0][there].astype(np.float64))

    @cached_property
    def _by_id(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All ids, ascending, and where the code of each begins; made for proofs, searches need neither."""
        ids, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        starts = list_starts(self._sizes, self.dimension) + self._shape.rows_at
        for size, start in zip(self._sizes.tolist(), starts.tolist(), strict=False):
            ids_at = start + size * self.dimension
            ids.append(np.frombuffer(self._bytes, "<i8", size, ids_at))
            places.append(np.arange(start, ids_at, self.dimension))
        together = np.concatenate(ids)
        order = np.argsort(together)
        if not ids_ascend(together[order]):
            raise IndexFileError(
                "An id stands in the index file twice, so SAM did not write it; build it again."
            )
        return together[order], np.concatenate(places)[order]


def map_file(file: BinaryIO) -> ApproximateIndex:
    """Map an open file whose checksum was taken, or that was just written; IndexFileError if it is none."""
    file.seek(0)
    shape, measured = read_header(file.read(HEADER.size))
    size = os.fstat(file.fileno()).st_size
    if size != shape.file_size:
        raise IndexFileError(
            f"The index file has {size} bytes; {shape.count} rows of {shape.dimension} numbers in "
            f"{shape.lists} lists have {shape.file_size}. Build the index again from its rows."
        )
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return ApproximateIndex(mapped, shape, measured)


def _checked_sizes(content: NDArray[np.uint8], shape: ApproximateShape) -> NDArray[np.int64]:
    """Return how many rows each list has, once every number that FAISS will read is the one expected."""
    parts = (
        (HEADER.size, shape.before_centres()),
        (shape.between_at, shape.between()),
        (shape.before_sizes_at, shape.before_sizes()),
    )
    sizes = np.frombuffer(content, "<u8", shape.lists, shape.sizes_at)
    is_ours = all(content[at : at + len(part)].tobytes() == part for at, part in parts)
    # Each alone first: a sum of wild numbers may come round to the right one.
    if not is_ours or sizes.max() > shape.count or int(sizes.sum()) != shape.count:
        raise IndexFileError(
            "The index file says of its lists what SAM does not write; build the index again."
        )
    return sizes.astype(np.int64)
