"""The search of people: by meaning and by words, and one ranking of both."""

from __future__ import annotations

import heapq
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import HostUnavailableError, TextNotEmbeddableError
from engines.files.artifacts import ArtifactStore
from engines.models import KnowledgeBase, VectorIndex
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
UNREACHABLE = "Only words were searched{where}, since nothing here could compare meanings: {error}"
UNREADABLE = (
    "Only words were searched{where}, since the embedder can make nothing of the question: {error} Ask in other "
    "words."
)
MAX_NAMED = 5
"""Bases that a sentence names; of more, it says how many."""
_NoVector = HostUnavailableError | TextNotEmbeddableError


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
    """Why a search that was to be by meaning as well was by words alone, in all bases or in those that it names,
    and what to do; empty otherwise."""


def search_passages(
    question: str,
    where: Searched,
    k: int,
    embed_query: EmbedQuery,
    files: tuple[ArtifactStore, IndexCache],
    narrowed: SearchFilter = EVERYTHING,
) -> Found:
    """Return the k best passages.

    Words are found at once in bases that have no vectors yet, and in those whose embedder no host can ask for the
    question; the others are searched by both. Raises HostUnavailableError when no base was searched by meaning and
    nothing has the words, or vectors alone were asked for and a base has none for the question.
    """
    depth = max(k, MIN_DEPTH)
    question_in = _Question(embed_query)
    if narrowed.way is SearchMode.VECTORS:
        return Found(search_bases(where.indexes, question_in.vector, k, *files, narrowed))
    by_words = search_words(question, where.base_ids, depth, narrowed)
    if narrowed.way is SearchMode.WORDS:
        return Found(_fuse(k, [], by_words, where, question_in, narrowed)[:k])
    asked = [
        (base_id, index)
        for base_id, index in where.indexes
        if not narrowed.bases or base_id in narrowed.bases
    ]
    errors = question_in.embed_for(asked)
    if asked and len(errors) == len(asked) and not by_words:
        raise next(iter(errors.values()))
    reached = [(base_id, index) for base_id, index in asked if base_id not in errors]
    by_meaning = search_bases(reached, question_in.vector, depth, *files, narrowed)
    words_only = _say_words_only(errors, is_everywhere=not reached) if asked else NOT_EMBEDDED
    return Found(_fuse(k, by_meaning, by_words, where, question_in, narrowed)[:k], words_only)


def _say_words_only(errors: dict[int, _NoVector], *, is_everywhere: bool) -> str:
    """Say in which bases only words were searched, and why: a sentence for each reason."""
    names = {} if is_everywhere else _names_of(errors)
    bases_by_reason: dict[str, list[int]] = defaultdict(list)
    for base_id, error in errors.items():
        is_away = isinstance(error, HostUnavailableError)
        reason = (UNREACHABLE if is_away else UNREADABLE).replace("{error}", str(error))
        bases_by_reason[reason].append(base_id)
    return " ".join(
        reason.replace("{where}", "" if is_everywhere else f" in {_list_names(keys, names)}", 1)
        for reason, keys in bases_by_reason.items()
    )


def _names_of(keys: Iterable[int]) -> dict[int, str]:
    return dict(KnowledgeBase.objects.filter(pk__in=list(keys)).values_list("pk", "name"))


def _list_names(keys: Sequence[int], names: dict[int, str]) -> str:
    if len(keys) > MAX_NAMED:
        return f"{len(keys)} bases"
    # A base may be deleted by now: then its number is all that is left of it.
    return ", ".join(f"“{names.get(key, key)}”" for key in keys)


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

    def embed_for(self, indexes: Sequence[tuple[int, VectorIndex]]) -> dict[int, _NoVector]:
        """Compute the vector in the space of each base; returns, of those without one, why by base."""
        by_space: dict[int, _NoVector] = {}
        for _, index in indexes:
            if index.fingerprint_id in by_space:
                continue
            try:
                self.vector(index)
            except (HostUnavailableError, TextNotEmbeddableError) as error:
                logger.warning("a search goes on by words alone in some bases: %s", error)
                by_space[index.fingerprint_id] = error
        return {
            base_id: by_space[index.fingerprint_id]
            for base_id, index in indexes
            if index.fingerprint_id in by_space
        }


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
