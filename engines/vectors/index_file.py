"""The index file: what FAISS itself writes for IndexIDMap over IndexFlatIP, written as a stream.

Why flat float32 and not half precision: scores are cosines. A stored half-precision vector's length is
off by up to 5e-4, so each row is brought to length 1 and that no longer fits half precision. With
float32 rows a score differs from the exact cosine by less than 1e-6. Why IndexIDMap and not IndexIDMap2:
ids ascend, so a row is found by bisection, and opening needs no table of all ids in memory.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import IndexFileError
from engines.files.durable import durable_file

_FACTS = struct.Struct("<4siqqqBi")
_COUNT = struct.Struct("<Q")
_UNUSED = 1 << 20
_TRAINED = 1
_INNER_PRODUCT = 0
FLAT = b"IxFI"
"""How FAISS names an index that holds its rows as they are."""
_FLOAT_BYTES = 4
_ID_BYTES = 8
MAX_DIMENSION = 16_384
MAX_COUNT = 2**31
HEADER_BYTES = 2 * _FACTS.size + _COUNT.size
VECTORS_AT = HEADER_BYTES


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A finished index file: SHA-256 (hex) of its bytes, rows, and numbers per row."""

    path: Path
    sha256: str
    count: int
    dimension: int
    recall: float | None = None
    """Of an approximate one: which share of the ten nearest a search found when it was built."""


def header_bytes(count: int, dimension: int) -> bytes:
    """Return the only beginning a file of this shape may have; all numbers in it are known."""
    outer = facts_bytes(b"IxMp", count, dimension)
    return outer + facts_bytes(FLAT, count, dimension) + _COUNT.pack(count * dimension)


def facts_bytes(kind: bytes, count: int, dimension: int) -> bytes:
    """Return how FAISS begins each index: its kind of four letters, and that it compares by product."""
    return _FACTS.pack(kind, dimension, count, _UNUSED, _UNUSED, _TRAINED, _INNER_PRODUCT)


def ids_at(count: int, dimension: int) -> int:
    """Offset in bytes of the number of ids; the ids follow it."""
    return VECTORS_AT + count * dimension * _FLOAT_BYTES


def file_size(count: int, dimension: int) -> int:
    """Size in bytes of a file of this shape."""
    return ids_at(count, dimension) + _COUNT.size + count * _ID_BYTES


def check_shape(count: int, dimension: int) -> None:
    """Refuse (IndexFileError) a count or dimension no index may have."""
    if not (0 <= count <= MAX_COUNT and 1 <= dimension <= MAX_DIMENSION):
        raise IndexFileError(
            f"An index cannot have {count} rows of {dimension} numbers; at most {MAX_COUNT} rows of "
            f"1 to {MAX_DIMENSION}."
        )


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Bring the rows of (m, d) to length 1; IndexFileError for a row of zeros, NaN or infinity."""
    exact = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths) & (lengths > 0)):
        raise IndexFileError(
            "A vector is all zeros or holds NaN or infinity, so it has no direction; store the text "
            "as not embeddable instead."
        )
    return np.asarray(exact / lengths, dtype=np.float32)


def write_index(
    path: Path,
    ids: NDArray[np.int64],
    batches: Iterable[NDArray[np.floating]],
    *,
    dimension: int,
) -> IndexFile:
    """Write an index file: durable, read-only, complete or not there.

    ``ids`` (n,) ascend strictly; ``batches`` are (m, dimension) arrays, together n rows in the order of
    ids, held one at a time. IndexFileError when they do not fit together; nothing is left then.
    """
    check_shape(len(ids), dimension)
    check_ids(ids)
    with durable_file(path) as file:
        out = HashingFile(file)
        out.write(header_bytes(len(ids), dimension))
        _write_rows(out, batches, len(ids), dimension)
        out.write(_COUNT.pack(len(ids)))
        out.write(np.ascontiguousarray(ids, dtype="<i8").tobytes())
    return IndexFile(path, out.digest.hexdigest(), len(ids), dimension)


class HashingFile:
    """Passes bytes on and takes their SHA-256."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.digest.update(data)


def _write_rows(
    out: HashingFile, batches: Iterable[NDArray[np.floating]], count: int, dimension: int
) -> None:
    written = 0
    for batch in batches:
        if batch.ndim != 2 or batch.shape[1] != dimension:  # noqa: PLR2004 - a matrix
            raise IndexFileError(
                f"A batch of vectors has the shape {batch.shape}; the index takes (rows, {dimension})."
            )
        written += len(batch)
        if written > count:
            break
        # One batch in memory at a time: an index may be larger than the memory.
        out.write(unit_rows(batch).astype("<f4", copy=False).tobytes())
    if written != count:
        raise IndexFileError(
            f"There are {count} ids but not as many vectors; build the index again."
        )


def check_ids(ids: NDArray[np.int64]) -> None:
    """Refuse (IndexFileError) ids that do not ascend strictly from 0 or more."""
    if ids.dtype != np.int64 or ids.ndim != 1 or not ids_ascend(ids):
        raise IndexFileError(
            "The ids of an index must be one row of 64-bit integers that are not negative and "
            "ascend strictly; sort them and remove doubles."
        )


def ids_ascend(ids: NDArray[np.int64]) -> bool:
    """Tell whether ids begin at 0 or more and each is greater than the one before."""
    return bool(len(ids) == 0 or (ids[0] >= 0 and np.all(ids[1:] > ids[:-1])))
