"""Vector search, exact and approximate, over immutable, checked, memory-mapped files and a small delta."""

from __future__ import annotations

from engines.vectors.approximate_build import build_index
from engines.vectors.approximate_file import read_recall
from engines.vectors.approximate_index import ApproximateIndex
from engines.vectors.cache import IndexCache
from engines.vectors.hits import Hits, merge_hits, search_flat
from engines.vectors.index_file import IndexFile, write_index
from engines.vectors.opening import OpenIndex, open_index
from engines.vectors.read_only_index import ReadOnlyIndex

__all__ = [
    "ApproximateIndex",
    "Hits",
    "IndexCache",
    "IndexFile",
    "OpenIndex",
    "ReadOnlyIndex",
    "build_index",
    "merge_hits",
    "open_index",
    "read_recall",
    "search_flat",
    "write_index",
]
