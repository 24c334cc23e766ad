"""Passages that have the words of a question, best first: rare words count more than common ones."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db import transaction

from engines.db.cursors import binary_cursor
from engines.services.knowledge.search_filters import EVERYTHING, MAX_DOCUMENTS, SearchFilter
from engines.services.knowledge.words.question import Term, read_question

MAX_FOUND = 1000
"""Passages read of one word; a word that more have says little, and is looked at only beside others."""
MIN_FOUND = 100
MAX_READ = 4000
"""Passages read of all words of a question together."""
MAX_COUNTED = 4 * MAX_FOUND
WEIGHED = 4
"""So many times as many passages as are wanted are looked at for words that many have."""
LENGTH_SHARE = 0.25
"""How much the length of a passage counts (``b`` of BM25): passages are cut to one length anyway."""

# PostgreSQL counts a comparison with words as cheap, but they lie beside the row and are compressed: it
# would rather read a table from its beginning until it has enough.
_BY_INDEX = """
SELECT set_config('enable_seqscan', %b, true), set_config('enable_indexscan', %b, true)
"""
_FOUND = """
SELECT term.number, hit.chunk_id, hit.size
FROM unnest(%b::text[]) WITH ORDINALITY AS term (query, number)
CROSS JOIN LATERAL (
    SELECT chunk_id, size FROM engines_passagewords
    WHERE words @@ (%b::tsquery && term.query::tsquery) LIMIT %b
) AS hit
"""
_WITHIN = """
SELECT term.number, held.chunk_id, held.size
FROM engines_passagewords AS held
JOIN unnest(%b::text[]) WITH ORDINALITY AS term (query, number) ON held.words @@ term.query::tsquery
WHERE held.chunk_id = ANY(%b::bigint[])
"""
_COUNT = """
SELECT count(*) FROM (
    SELECT base_id FROM engines_passagewords WHERE base_id = ANY(%b::bigint[]) LIMIT %b
) AS counted
"""
_LIVE = """
SELECT id, base_id, content_hash, document_id FROM engines_chunk
WHERE id = ANY(%b::bigint[]) AND base_id = ANY(%b::bigint[]) AND deleted_seq IS NULL
"""


class WordHit(NamedTuple):
    """A live passage that has words of the question."""

    chunk_id: int
    base_id: int
    content_hash: bytes
    score: float
    """The rarer the words, and the more of them, the greater; compares passages of one question only."""


@dataclass
class _Found:
    """What is known so far: per term the passages that have it, and how long each passage is."""

    limit: int
    holders: dict[int, set[int]]
    sizes: dict[int, int]

    def add(self, rows: Iterable[tuple[int, int, int]]) -> None:
        for number, chunk_id, size in rows:
            self.holders[number].add(chunk_id)
            self.sizes[chunk_id] = size

    @property
    def common(self) -> list[int]:
        """Return the numbers of the terms of which not all passages were read."""
        return [number for number, found in self.holders.items() if len(found) >= self.limit]

    def rank(self, passages: int) -> list[tuple[int, float]]:
        """Return (chunk id, score), best first, equal ones by id; of a base with so many passages."""
        scores: dict[int, float] = defaultdict(float)
        for found in self.holders.values():
            weight = math.log((max(passages, len(found)) + 1) / (len(found) + 0.5))
            for chunk_id in found:
                scores[chunk_id] += weight
        mean = sum(self.sizes.values()) / max(len(self.sizes), 1) or 1
        even = {
            key: score / (1 - LENGTH_SHARE + LENGTH_SHARE * self.sizes[key] / mean)
            for key, score in scores.items()
        }
        return sorted(even.items(), key=lambda one: (-one[1], one[0]))


def search_words(
    question: str, base_ids: Sequence[int], most: int, narrowed: SearchFilter = EVERYTHING
) -> list[WordHit]:
    """Return at most so many passages of these bases by their words, best first, each text once.

    Of a text that several passages have, the one found first stands for it: their scores are equal, so it is
    the oldest of a base.
    """
    bases = [base for base in base_ids if not narrowed.bases or base in narrowed.bases]
    terms = read_question(question, bases) if bases else []
    if not terms:
        return []
    return _live(_rank(terms, _scope(bases, narrowed), bases, most), bases, narrowed)[:most]


def _scope(bases: Sequence[int], narrowed: SearchFilter) -> str:
    """Return the query of full text that only passages of these bases, or of some documents, fulfil."""
    marks = [f"#b{key}" for key in bases]
    if narrowed.narrows_documents:
        rows = narrowed.documents_of(bases).order_by("pk").values_list("pk", flat=True)
        keys = list(rows[: MAX_DOCUMENTS + 1])
        # Of more documents than that, what is found in their bases is looked through.
        marks = [f"#d{key}" for key in keys] if len(keys) <= MAX_DOCUMENTS else marks
    return " | ".join(f"'{mark}'" for mark in marks)


def _rank(
    terms: Sequence[Term], scope: str, bases: Sequence[int], most: int
) -> list[tuple[int, float]]:
    if not scope:
        return []
    limit = max(MIN_FOUND, min(MAX_FOUND, MAX_READ // len(terms)))
    queries = [term.query for term in terms]
    found = _Found(limit, defaultdict(set), {})
    found.add(_find(queries, scope, limit))
    common = found.common
    if len(common) > 1:
        # Passages that have all of them may be none of those that were read of each.
        every = " & ".join(f"({queries[number - 1]})" for number in common)
        for _, key, size in _find([every], scope, limit):
            found.add((number, key, size) for number in common)
    with binary_cursor() as cursor:
        passages = cursor.execute(_COUNT, [list(bases), MAX_COUNTED]).fetchall()[0][0]
        ranked = found.rank(passages)
        if common:
            best = [key for key, _ in ranked[: most * WEIGHED]]
            cursor.execute(_WITHIN, [[queries[number - 1] for number in common], best])
            found.add((common[place - 1], key, size) for place, key, size in cursor.fetchall())
            ranked = found.rank(passages)
    return ranked


def _find(queries: Sequence[str], scope: str, limit: int) -> list[tuple[int, int, int]]:
    """Return (number of the query from 1, chunk id, size) of at most so many passages of each."""
    with transaction.atomic(), binary_cursor() as cursor:
        cursor.execute(_BY_INDEX, ["off", "off"])
        rows: list[tuple[int, int, int]] = cursor.execute(
            _FOUND, [list(queries), scope, limit]
        ).fetchall()
        cursor.execute(_BY_INDEX, ["on", "on"])
    return rows


def _live(
    ranked: Sequence[tuple[int, float]], bases: Sequence[int], narrowed: SearchFilter
) -> list[WordHit]:
    """Leave what is live and asked for: this decides, an index can only be behind."""
    with binary_cursor() as cursor:
        cursor.execute(_LIVE, [[key for key, _ in ranked], list(bases)])
        live = {key: row for key, *row in cursor}
    documents = {document for _, _, document in live.values()}
    if narrowed.narrows_documents:
        asked = narrowed.documents_of(bases).filter(pk__in=documents)
        documents = set(asked.values_list("pk", flat=True))
    once: dict[bytes, WordHit] = {}
    for key, score in ranked:
        base_id, content_hash, document_id = live.get(key, (0, b"", None))
        if document_id in documents and document_id is not None:
            once.setdefault(content_hash, WordHit(key, base_id, bytes(content_hash), score))
    return list(once.values())
