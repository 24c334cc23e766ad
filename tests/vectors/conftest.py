from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.vectors import IndexFile, OpenIndex, ReadOnlyIndex, open_index, write_index


@dataclass(frozen=True, slots=True)
class Built:
    file: IndexFile
    ids: NDArray[np.int64]
    stored: NDArray[np.float16]

    def open(self) -> ReadOnlyIndex:
        return open_described(self.file)


def open_any(file: IndexFile) -> OpenIndex:
    return open_index(file.path, sha256=file.sha256, count=file.count, dimension=file.dimension)


def open_described(file: IndexFile) -> ReadOnlyIndex:
    index = open_any(file)
    assert isinstance(index, ReadOnlyIndex)
    return index


def some_vectors(count: int, dimension: int, seed: int = 1) -> NDArray[np.float16]:
    """Half-precision unit vectors, as the database keeps them."""
    raw = np.random.default_rng(seed).standard_normal((count, dimension))
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), np.float16)


def cosines(queries: NDArray[np.float32], stored: NDArray[np.float16]) -> NDArray[np.float64]:
    """Compute all cosines (queries, rows) in the plainest way, apart from the code under test."""
    rows, asked = stored.astype(np.float64), queries.astype(np.float64)
    lengths = np.outer(np.linalg.norm(asked, axis=1), np.linalg.norm(rows, axis=1))
    return np.asarray(asked @ rows.T / lengths)


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Built]:
    """Write an index of random vectors with gaps between the ids, in batches of 777."""

    def write(count: int, dimension: int = 16, seed: int = 1) -> Built:
        stored = some_vectors(count, dimension, seed)
        ids = np.arange(count, dtype=np.int64) * 3 + 5
        batches = (stored[at : at + 777] for at in range(0, count, 777))
        path = tmp_path / f"{count}-{dimension}-{seed}.index"
        return Built(write_index(path, ids, batches, dimension=dimension), ids, stored)

    return write
