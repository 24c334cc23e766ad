"""Passages that have the words of a question, best first: rare words count more than common ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.db.cursors import array_literal, binary_cursor, inline_cursor
from engines.services.knowledge.search_filters import EVERYTHING, MAX_DOCUMENTS, SearchFilter
from engines.services.knowledge.words.question import Term, read_question

MIN_FOUND = 100
"""Passages read of one word, at least; of fewer, none is common."""
MAX_READ = 1600
"""Passages read of all words of a question together."""
MAX_COUNTED = 4000
"""Passages of the bases, counted to tell how rare a word is."""
WEIGHED = 5
"""So many times as many passages as are wanted are looked at for words that many have."""
SAMPLE_POINTS = 40
SAMPLE_RUN = 3
"""Passages in a row at each point of a sample."""
COMMON_SHARE = 0.04
"""A word that more of the sample have is common: to read all its passages in the index is what takes time."""
COMMON_ASKED = 1
"""Of the common words of a question, the rarest, whose passages are read as well."""
COMMON_TOGETHER = 3
"""So many of them, the rarest, are looked for together; with each more the index reads longer lists."""
LIVE_SPARE = 2
"""So many times as many passages as are wanted are looked at for being live and asked for, first."""
LIVE_GROWTH = 8
LENGTH_SHARE = 0.25
"""How much the length of a passage counts (``b`` of BM25): passages are cut to one length anyway."""

# PostgreSQL counts a comparison with words as cheap, but they lie beside the row and are compressed: it
# would rather read a table from its beginning until it has enough.
_BY_INDEX = """
SELECT set_config('enable_seqscan', %b, true), set_config('enable_indexscan', %b, true)
"""
# One row a word, its passages as "id size id size …": a row for each costs Python more than finding them.
_FOUND = """
SELECT term.number, (
    SELECT string_agg(chunk_id || ' ' || size, ' ') FROM (
        SELECT chunk_id, size FROM engines_passagewords
        WHERE words @@ (%b::tsquery && term.query) LIMIT %b
    ) AS hit
)
FROM unnest(%b::text[]::tsquery[]) WITH ORDINALITY AS term (query, number)
"""
# Read and unpacked once, not once for each word. Which of them live comes on the same way from the server: each
# way counts more than what it does there.
_WITHIN = """
WITH held AS MATERIALIZED (
    SELECT chunk_id, size, strip(words) AS words FROM engines_passagewords
    WHERE chunk_id = ANY(%b::bigint[])
)
SELECT term.number, (
    SELECT string_agg(chunk_id || ' ' || size, ' ') FROM held WHERE words @@ term.query
), NULL::bigint, NULL::bigint, NULL::bytea, NULL::bigint
FROM unnest(%b::text[]::tsquery[]) WITH ORDINALITY AS term (query, number)
UNION ALL
SELECT NULL, NULL, live.* FROM (/* live */) AS live
"""
_SAMPLE = """
WITH ends AS (
    SELECT base.id AS base_id, low.id AS low, high.id AS high
    FROM unnest(%b::bigint[]) AS base (id)
    CROSS JOIN LATERAL (
        SELECT id FROM engines_chunk WHERE base_id = base.id ORDER BY base_id, id LIMIT 1
    ) AS low
    CROSS JOIN LATERAL (
        SELECT id FROM engines_chunk WHERE base_id = base.id ORDER BY base_id DESC, id DESC LIMIT 1
    ) AS high
), drawn AS (
    SELECT DISTINCT chunk.id FROM ends
    CROSS JOIN generate_series(0, %b::bigint - 1) AS point
    CROSS JOIN LATERAL (
        SELECT id FROM engines_chunk
        WHERE base_id = ends.base_id AND id >= low + (high - low) * point / %b::bigint
        ORDER BY base_id, id LIMIT %b
    ) AS chunk
), held AS MATERIALIZED (
    SELECT strip(words) AS words FROM drawn CROSS JOIN LATERAL (
        SELECT words FROM engines_passagewords WHERE chunk_id = drawn.id LIMIT 1
    ) AS one
)
SELECT term.number::int,
       (SELECT count(*) FROM held WHERE held.words @@ term.query)
       / greatest((SELECT count(*) FROM held), 1)::float8,
       (SELECT count(*) FROM (
            SELECT base_id FROM engines_passagewords WHERE base_id = ANY(%b::bigint[]) LIMIT %b
        ) AS counted)
FROM unnest(%b::text[]::tsquery[]) WITH ORDINALITY AS term (query, number)
"""
_LIVE = """
SELECT id, base_id, content_hash, document_id FROM engines_chunk
WHERE id = ANY(%b::bigint[]) AND base_id = ANY(%b::bigint[]) AND deleted_seq IS NULL
"""
_WITHIN = _WITHIN.replace("/* live */", _LIVE)

_Live = tuple[int, bytes, int | None]
"""Of a passage that is not deleted: its base, the digest of its text, its document."""


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

    passages: int
    """Of all that is searched, counted to a bound."""
    shares: dict[int, float]
    """Of the common terms, in a sample."""
    holders: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    """By the number of a term: the passages that have it, ascending, none twice."""
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))
    """Each passage that was found and how many words it has; some twice."""
    live: dict[int, _Live | None] = field(default_factory=dict)
    """What was read of passages already; None of one that is deleted."""

    def add(self, numbers: Iterable[int], rows: str) -> None:
        """Add passages, "id size id size …", to those that have each of these terms."""
        pairs = np.fromstring(rows, np.int64, sep=" ").reshape(-1, 2)
        for number in numbers:
            self.holders[number] = np.union1d(self.held_by(number), pairs[:, 0])
        self.sizes = np.concatenate([self.sizes, pairs])

    def held_by(self, number: int) -> NDArray[np.int64]:
        """Return the passages that are known to have a term."""
        return self.holders.get(number, np.empty(0, np.int64))

    def rank(self) -> list[tuple[int, float]]:
        """Return (chunk id, score) of all, best first, equal ones by id."""
        ids, first = np.unique(self.sizes[:, 0], return_index=True)
        sizes = self.sizes[first, 1]
        scores = np.zeros(len(ids))
        for number, held_by in self.holders.items():
            held = max(len(held_by), self.shares.get(number, 0.0) * self.passages)
            weight = math.log((max(self.passages, held) + 1) / (held + 0.5))
            scores[np.searchsorted(ids, held_by)] += weight
        mean = int(sizes.sum()) / max(len(sizes), 1) or 1
        scores /= 1 - LENGTH_SHARE + LENGTH_SHARE * sizes / mean
        order = np.lexsort((ids, -scores))
        return list(zip(ids[order].tolist(), scores[order].tolist(), strict=True))


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
    found, ranked = _rank(terms, _scope(bases, narrowed), bases, most)
    # Few are deleted, filtered out or say the same: mostly the first look finds what is wanted.
    size = LIVE_SPARE * most
    while True:
        live = _live(found, ranked[:size], bases, narrowed)
        if len(live) >= most or size >= len(ranked):
            return live[:most]
        size *= LIVE_GROWTH


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
) -> tuple[_Found, list[tuple[int, float]]]:
    if not scope:
        return _Found(0, {}), []
    queries = [term.query for term in terms]
    found = _Found(*_sample(queries, bases))
    common = sorted(found.shares, key=lambda number: (found.shares[number], number))
    # What is common in a base may be rare in some of its documents, whose lists in the index are short.
    unread = set() if scope.startswith("'#d") else set(common[COMMON_ASKED:])
    asked = [number for number in range(1, len(terms) + 1) if number not in unread]
    looks = [queries[number - 1] for number in asked]
    together = common[:COMMON_TOGETHER]
    if len(together) > 1:
        # Passages that have all of them may be none of those that are read of each.
        looks.append(" & ".join(f"({queries[number - 1]})" for number in together))
    limit = max(MIN_FOUND, MAX_READ // len(looks))
    for place, rows in _find(looks, scope, limit):
        found.add([asked[place - 1]] if place <= len(asked) else together, rows)
    cut = [number for number in asked if len(found.held_by(number)) >= limit]
    partly = sorted({*cut, *common})
    if partly:
        best = [key for key, _ in found.rank()[: most * WEIGHED]]
        # What has a name or number that hardly any has lies behind those whose other words are known already.
        whole = [found.held_by(number).tolist() for number in asked if number not in partly]
        rare = [key for keys in whole if len(keys) <= most for key in keys]
        keys = list(dict.fromkeys([*best, *rare]))
        _look_within(found, keys, {number: queries[number - 1] for number in partly}, bases)
    return found, found.rank()


def _look_within(
    found: _Found, keys: list[int], queries: dict[int, str], bases: Sequence[int]
) -> None:
    """Add which of some passages have these words, and which of them live."""
    numbers = list(queries)
    found.live.update(dict.fromkeys(keys))
    with binary_cursor() as cursor:
        ids = array_literal(keys)
        cursor.execute(_WITHIN, [ids, list(queries.values()), ids, list(bases)])
        for place, rows, key, *live in cursor.fetchall():
            if key is None:
                found.add([numbers[place - 1]], rows or "")
            else:
                found.live[key] = tuple(live)


def _sample(queries: Sequence[str], bases: Sequence[int]) -> tuple[int, dict[int, float]]:
    """Return how many passages the bases have, to a bound, and the share that has each common term."""
    points = max(1, SAMPLE_POINTS // len(bases))
    values = [list(bases), points, points, SAMPLE_RUN, list(bases), MAX_COUNTED, list(queries)]
    with binary_cursor() as cursor:
        rows = cursor.execute(_SAMPLE, values).fetchall()
    passages = rows[0][2]
    # So few as are read anyway are not common, whatever their share of a small base.
    least = max(COMMON_SHARE, MIN_FOUND / max(passages, 1))
    return passages, {number: share for number, share, _ in rows if share > least}


def _find(queries: Sequence[str], scope: str, limit: int) -> list[tuple[int, str]]:
    """Return (number of the query from 1, "id size id size …") of at most so many passages of each."""
    with inline_cursor() as cursor:
        # Three statements on one way to the server, which are one transaction where there is none yet.
        cursor.execute(
            f"{_BY_INDEX}; {_FOUND}; {_BY_INDEX}",
            ["off", "off", scope, limit, list(queries), "on", "on"],
        )
        cursor.nextset()
        return [(number, rows or "") for number, rows in cursor]


def _live(
    found: _Found,
    ranked: Sequence[tuple[int, float]],
    bases: Sequence[int],
    narrowed: SearchFilter,
) -> list[WordHit]:
    """Leave what is live and asked for: this decides, an index can only be behind."""
    if unread := [key for key, _ in ranked if key not in found.live]:
        found.live.update(dict.fromkeys(unread))
        with binary_cursor() as cursor:
            cursor.execute(_LIVE, [array_literal(unread), list(bases)])
            found.live.update((key, tuple(row)) for key, *row in cursor.fetchall())
    live = {key: row for key, _ in ranked if (row := found.live[key]) is not None}
    documents = {document for _, _, document in live.values() if document is not None}
    if narrowed.narrows_documents:
        asked = narrowed.documents_of(bases).filter(pk__in=documents)
        documents = set(asked.values_list("pk", flat=True))
    once: dict[bytes, WordHit] = {}
    for key, score in ranked:
        base_id, content_hash, document_id = live.get(key, (0, b"", None))
        if document_id in documents and document_id is not None:
            once.setdefault(content_hash, WordHit(key, base_id, bytes(content_hash), score))
    return list(once.values())
