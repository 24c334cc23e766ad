"""Opening an index file: its digest and its shape first, then the reader of its kind."""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path
from typing import BinaryIO

from engines.exceptions import IndexFileError
from engines.files.durable import BLOCK, open_regular
from engines.vectors.approximate_file import HEADER, MAGIC, read_header
from engines.vectors.approximate_index import ApproximateIndex, map_file
from engines.vectors.index_file import (
    HEADER_BYTES,
    check_shape,
    file_size,
    header_bytes,
    ids_at,
)
from engines.vectors.read_only_index import ReadOnlyIndex

OpenIndex = ReadOnlyIndex | ApproximateIndex
"""Either kind answers the same questions."""


def open_index(path: Path, *, sha256: str, count: int, dimension: int) -> OpenIndex:
    """Check a file against what its row says (digest in hex, rows, numbers per row), then map it.

    The file must not be written to while mapped; putting another in its place is safe.
    IndexFileError when it is missing, or differs in any of the three.
    """
    check_shape(count, dimension)
    try:
        with open_regular(path) as file:
            # The descriptor that is hashed, not the name: the name may mean another file by then.
            is_approximate = file.read(len(MAGIC)) == MAGIC
            file.seek(0)
            shape = (count, dimension)
            if is_approximate:
                _check_header(file, path.name, shape)
                _check_digest(file, path.name, sha256)
                return map_file(file)
            _check_exact(file, path.name, shape)
            _check_digest(file, path.name, sha256)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise IndexFileError(
            f"The index file cannot be opened ({error}); build the index again from its rows."
        ) from error
    return ReadOnlyIndex(mapped, count, dimension)


def _check_header(file: BinaryIO, name: str, shape: tuple[int, int]) -> None:
    found, _ = read_header(file.read(HEADER.size))
    _refuse_other_shape(file, name, shape, is_same=(found.count, found.dimension) == shape)


def _check_exact(file: BinaryIO, name: str, shape: tuple[int, int]) -> None:
    size = os.fstat(file.fileno()).st_size
    is_same = size == file_size(*shape) and file.read(HEADER_BYTES) == header_bytes(*shape)
    _refuse_other_shape(file, name, shape, is_same=is_same)
    # The header fixes every other number FAISS reads; this one stands behind the vectors.
    file.seek(ids_at(*shape))
    if int.from_bytes(file.read(8), "little") != shape[0]:
        raise IndexFileError(
            f"The index file {name} was changed or damaged: it states another number of ids. Build "
            "the index again from its rows."
        )


def _refuse_other_shape(
    file: BinaryIO, name: str, shape: tuple[int, int], *, is_same: bool
) -> None:
    size = os.fstat(file.fileno()).st_size
    if not is_same:
        raise IndexFileError(
            f"The index file {name} ({size} bytes) does not hold {shape[0]} rows of {shape[1]} numbers "
            "as its row says; build the index again from its rows."
        )


def _check_digest(file: BinaryIO, name: str, expected: str) -> None:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    if digest.hexdigest() != expected:
        raise IndexFileError(
            f"The index file {name} was changed or damaged: its SHA-256 is {digest.hexdigest()}, "
            f"expected {expected}. Build the index again from its rows."
        )
