"""Exact vector search over immutable, checked, memory-mapped files and a small delta."""

from __future__ import annotations

from engines.vectors.cache import IndexCache
from engines.vectors.hits import Hits, merge_hits, search_flat
from engines.vectors.index_file import IndexFile, write_index
from engines.vectors.read_only_index import ReadOnlyIndex, open_index

__all__ = [
    "Hits",
    "IndexCache",
    "IndexFile",
    "ReadOnlyIndex",
    "merge_hits",
    "open_index",
    "search_flat",
    "write_index",
]
