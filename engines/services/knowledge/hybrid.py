"""The search of people: by meaning and by words, and one ranking of both."""

from __future__ import annotations

import heapq
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import HostUnavailableError, TextNotEmbeddableError
from engines.files.artifacts import ArtifactStore
from engines.models import VectorIndex
from engines.services.knowledge.search import (
    EmbedQuery,
    FoundBy,
    Hit,
    each_text_once,
    read_hits,
    search_bases,
)
from engines.services.knowledge.search_filters import EVERYTHING, SearchFilter, SearchMode
from engines.services.knowledge.words.search import WordHit, search_words
from engines.vectors import IndexCache

logger = logging.getLogger(__name__)

RANK_CONSTANT = 60
"""``k`` of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): the best of one ranking does not
outdo what is good in both."""
MIN_DEPTH = 30
"""Passages of each ranking that are fused, at least."""


NOT_EMBEDDED = (
    "Only words were searched: what you search in has no vectors yet. Choose an engine; when it has read your "
    "documents, passages of the same meaning are found as well."
)
UNREACHABLE = "Only words were searched, since nothing here could compare meanings: {error}"
UNREADABLE = "Only words were searched, since the embedder can make nothing of the question: {error} Ask in other words."


@dataclass(frozen=True, slots=True)
class Searched:
    """Where a person searches: the bases they may read, and of those with a live index its row."""

    base_ids: Sequence[int]
    indexes: Sequence[tuple[int, VectorIndex]]


@dataclass(frozen=True, slots=True)
class Found:
    """Passages, best first, each text once."""

    hits: list[Hit]
    words_only: str = ""
    """Why a search that was to be by meaning as well was by words alone, and what to do; empty otherwise."""


def search_passages(
    question: str,
    where: Searched,
    k: int,
    embed_query: EmbedQuery,
    files: tuple[ArtifactStore, IndexCache],
    narrowed: SearchFilter = EVERYTHING,
) -> Found:
    """Return the k best passages.

    Words are found at once in bases that have no vectors yet, and where no host can embed the question; then
    what has its words is all there is. Raises HostUnavailableError when nothing has.
    """
    depth = max(k, MIN_DEPTH)
    embedded = _Question(embed_query)
    if narrowed.way is SearchMode.VECTORS:
        return Found(search_bases(where.indexes, embedded.vector, k, *files, narrowed))
    by_words = search_words(question, where.base_ids, depth, narrowed)
    by_meaning: list[Hit] = []
    words_only = ""
    if narrowed.way is SearchMode.HYBRID:
        try:
            by_meaning = search_bases(where.indexes, embedded.vector, depth, *files, narrowed)
            words_only = "" if embedded.vectors else NOT_EMBEDDED
        except (HostUnavailableError, TextNotEmbeddableError) as error:
            if not by_words:
                raise
            logger.warning("a search goes on by words alone: %s", error)
            is_away = isinstance(error, HostUnavailableError)
            words_only = (UNREACHABLE if is_away else UNREADABLE).format(error=error)
    return Found(_fuse(k, by_meaning, by_words, where, embedded, narrowed)[:k], words_only)


class _Question:
    """A question's vectors, each computed once."""

    def __init__(self, embed_query: EmbedQuery) -> None:
        self._embed_query = embed_query
        self.vectors: dict[int, NDArray[np.float32]] = {}
        """By the id of the space."""

    def vector(self, index: VectorIndex) -> NDArray[np.float32]:
        if index.fingerprint_id not in self.vectors:
            vector = np.asarray(self._embed_query(index), dtype=np.float32)
            self.vectors[index.fingerprint_id] = vector
        return self.vectors[index.fingerprint_id]


def _fuse(
    k: int,
    by_meaning: Sequence[Hit],
    by_words: Sequence[WordHit],
    where: Searched,
    question: _Question,
    narrowed: SearchFilter,
) -> list[Hit]:
    """Return passages of both rankings by the sum of their reciprocal ranks, the k best among them."""
    scores: dict[bytes, float] = defaultdict(float)
    for keys in (
        [hit.content_hash for hit in by_meaning],
        [word.content_hash for word in by_words],
    ):
        for rank, key in enumerate(keys, start=1):
            scores[key] += 1 / (RANK_CONSTANT + rank)
    # What ranks lower is not shown: reading it would take as long as finding it. A least cosine is known only
    # when it is read, and some may be deleted by now.
    best = heapq.nlargest(2 * k, scores.values()) if narrowed.min_score is None else []
    least = best[-1] if best else 0.0
    known = {hit.content_hash for hit in by_meaning}
    worded = {word.content_hash for word in by_words}
    late = _read_late(
        [
            word
            for word in by_words
            if word.content_hash not in known and scores[word.content_hash] >= least
        ],
        where,
        question,
        narrowed,
    )
    hits = each_text_once([*by_meaning, *late])
    marked = [replace(hit, found_by=_found_by(hit.content_hash, known, worded)) for hit in hits]
    return sorted(marked, key=lambda hit: (-scores[hit.content_hash], -hit.score, hit.chunk_id))


def _found_by(key: bytes, known: set[bytes], worded: set[bytes]) -> FoundBy:
    if key not in known:
        return FoundBy.WORDS
    return FoundBy.BOTH if key in worded else FoundBy.VECTORS


def _read_late(
    found: Sequence[WordHit], where: Searched, question: _Question, narrowed: SearchFilter
) -> list[Hit]:
    """Read what only its words found, compared with the question where both have a vector."""
    indexes = dict(where.indexes)
    by_base: dict[int, list[int]] = defaultdict(list)
    for word in found:
        by_base[word.base_id].append(word.chunk_id)
    hits: list[Hit] = []
    for base_id, keys in by_base.items():
        index = indexes.get(base_id)
        vector = question.vectors.get(index.fingerprint_id) if index else None
        space = (index, vector) if index is not None and vector is not None else None
        hits += read_hits(base_id, keys, space, narrowed)
    least = narrowed.min_score
    return [hit for hit in hits if least is None or (hit.score or -1.0) >= least]
