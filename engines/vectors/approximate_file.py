"""The index file of a large base: passages by nearness in lists, of which a search reads some.

A header of ours, then what FAISS itself writes for IndexIVFScalarQuantizer (inner product, eight bits a
number), so that FAISS reads it from the mapping without a copy. Compressed scores only choose candidates: a
search compares those with the vectors that the database keeps. The lists are in the file one after another,
in each the codes of its rows and then their ids, which ascend.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import IndexFileError
from engines.vectors.index_file import FLAT, check_shape, facts_bytes

MAGIC = b"SAMIVF1\0"
HEADER = struct.Struct("<8sIIQIId24x")
"""Magic, numbers of a row, lists, rows, lists read by a search, rows it was measured with, recall."""

MAX_LISTS = 65_536
_U64 = struct.Struct("<Q")
_IVF = b"IwSq"
_PROBES_OF_FAISS = 1
"""A search names its own; this one is only what FAISS would take if none were named."""
_NO_DIRECT_MAP = b"\0" + _U64.pack(0)
_QUANTIZER = struct.Struct("<iifQQQ")
_EIGHT_BITS = 0
_CODES = struct.Struct("<Qx4sQQ4sQ")
_FLOAT_BYTES = 4
ID_BYTES = 8
STEPS = 255
"""Of a compressed number, between the least and the greatest that any row has there."""


@dataclass(frozen=True, slots=True)
class ApproximateShape:
    """All that decides how long the parts of a file are."""

    count: int
    dimension: int
    lists: int

    def check(self) -> None:
        """Refuse (IndexFileError) what no file may have."""
        check_shape(self.count, self.dimension)
        if not 1 <= self.lists <= min(MAX_LISTS, max(self.count, 1)):
            raise IndexFileError(
                f"An index of {self.count} rows cannot have {self.lists} lists; build it again."
            )

    @property
    def between_at(self) -> int:
        centres = self.lists * self.dimension * _FLOAT_BYTES
        return HEADER.size + len(self.before_centres()) + centres

    @property
    def bounds_at(self) -> int:
        return self.between_at + len(self.between())

    @property
    def before_sizes_at(self) -> int:
        return self.bounds_at + 2 * self.dimension * _FLOAT_BYTES

    @property
    def sizes_at(self) -> int:
        return self.before_sizes_at + len(self.before_sizes())

    @property
    def rows_at(self) -> int:
        return self.sizes_at + self.lists * _U64.size

    @property
    def file_size(self) -> int:
        return self.rows_at + self.count * (self.dimension + ID_BYTES)

    def before_centres(self) -> bytes:
        """Return FAISS's bytes up to the centres of the lists."""
        lists = _U64.pack(self.lists) + _U64.pack(_PROBES_OF_FAISS)
        flat = facts_bytes(FLAT, self.lists, self.dimension)
        numbers = _U64.pack(self.lists * self.dimension)
        return facts_bytes(_IVF, self.count, self.dimension) + lists + flat + numbers

    def between(self) -> bytes:
        """Return FAISS's bytes from the centres to the bounds of each number."""
        d = self.dimension
        return _NO_DIRECT_MAP + _QUANTIZER.pack(_EIGHT_BITS, 0, 0.0, d, d, 2 * d)

    def before_sizes(self) -> bytes:
        """Return FAISS's bytes from the bounds to the sizes of the lists."""
        # The one byte between: rows are compressed themselves, not what they differ from their centre by.
        return _CODES.pack(self.dimension, b"ilar", self.lists, self.dimension, b"full", self.lists)


@dataclass(frozen=True, slots=True)
class Measured:
    """How a file is searched, and what that was worth when it was built."""

    probes: int
    """Lists that are read for one question, the nearest first."""
    sample: int
    """Rows whose neighbours were looked for."""
    recall: float
    """Share of the ten nearest that were found."""


def header_of(shape: ApproximateShape, measured: Measured) -> bytes:
    """Return the beginning of a file."""
    return HEADER.pack(
        MAGIC,
        shape.dimension,
        shape.lists,
        shape.count,
        measured.probes,
        measured.sample,
        measured.recall,
    )


def read_header(raw: bytes) -> tuple[ApproximateShape, Measured]:
    """Read what ``header_of`` wrote; IndexFileError for anything that no file may say."""
    try:
        magic, dimension, lists, count, probes, sample, recall = HEADER.unpack(raw)
    except struct.error as error:
        raise IndexFileError("The index file ends in its header; build it again.") from error
    shape = ApproximateShape(count, dimension, lists)
    shape.check()
    if magic != MAGIC or not 1 <= probes <= lists or not 0 <= recall <= 1:
        raise IndexFileError(
            "The header of the index file says what SAM does not write; build it again."
        )
    return shape, Measured(probes, sample, recall)


def read_recall(file: BinaryIO) -> float | None:
    """Return what the beginning of an index file says was found when it was built; None of an exact one."""
    raw = file.read(HEADER.size)
    return read_header(raw)[1].recall if raw.startswith(MAGIC) else None


def list_starts(sizes: NDArray[np.int64], dimension: int) -> NDArray[np.int64]:
    """Return where each list begins (lists + 1,), in bytes after the first one's beginning."""
    starts = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes * (dimension + ID_BYTES), out=starts[1:])
    return starts


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least of each number over all rows, and how far it is from there to the greatest."""

    least: NDArray[np.float32]
    span: NDArray[np.float32]

    def as_bytes(self) -> bytes:
        return np.concatenate([self.least, self.span]).astype("<f4").tobytes()

    def compress(self, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the codes of rows (m, d): eight bits a number; a function of the row alone."""
        span = np.where(self.span > 0, self.span, 1)
        steps = (rows - self.least) / span * STEPS
        return np.clip(steps, 0, STEPS).astype(np.uint8)
