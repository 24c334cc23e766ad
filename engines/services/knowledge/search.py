"""Search by meaning: file and delta give candidates, one statement decides what is live and theirs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.db.cursors import array_literal, binary_cursor
from engines.exceptions import ArtifactMissingError, IndexFileError, NotFoundError
from engines.files.artifacts import ArtifactStore
from engines.models import VectorIndex
from engines.services.knowledge.embedding_rows import decode_vectors
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.index_files import IndexFiles
from engines.services.knowledge.indexes import reread
from engines.services.knowledge.search_filters import EVERYTHING, SearchFilter
from engines.services.people.bindings import Binding, request_binding
from engines.vectors import IndexCache, OpenIndex, search_flat

__all__ = [
    "Binding",
    "FoundBy",
    "Hit",
    "each_text_once",
    "read_hits",
    "request_binding",
    "search_bases",
    "search_index",
]

logger = logging.getLogger(__name__)

Vector = Sequence[float] | NDArray[np.float32]
EmbedQuery = Callable[[VectorIndex], Vector]
"""Embeds the question with the embedder of that index, and no other."""

MAX_CHOSEN_DOCUMENT_CHUNKS = 10_000
"""Passages of a filter's documents that are compared one by one; of more, the nearest are filtered."""
MAX_TWINS = 20
"""Other documents that are named beside a passage that they all hold."""
SPARE = 16
GROWTH = 4
TRIES = 3

# Candidates and delta in one statement, so in one snapshot: a document that is just being replaced is
# seen as it was or as it is, never as neither. The score comes from the embedding of the chunk's own
# hash, so a file that is stale or not ours can hide a text for a moment, but never show a wrong one.
_CANDIDATES = """
SELECT c.id, e.vector, c.content_hash
FROM (
    SELECT unnest(%b::bigint[]) AS id
    UNION
    SELECT id FROM engines_chunk
    WHERE base_id = %b AND created_seq > %b AND deleted_seq IS NULL
) candidate
JOIN LATERAL (
    SELECT id, content_hash FROM engines_chunk
    WHERE id = candidate.id AND base_id = %b AND deleted_seq IS NULL /* narrowed */ LIMIT 1
) c ON true
JOIN LATERAL (
    SELECT vector FROM engines_embedding
    WHERE fingerprint_id = %b AND content_hash = c.content_hash AND vector IS NOT NULL LIMIT 1
) e ON true
"""
_OF_DOCUMENTS = """AND document_id IN (
    SELECT id FROM engines_document
    WHERE base_id = %b AND (%b::bigint[] IS NULL OR id = ANY(%b::bigint[]))
          AND (%b::timestamptz IS NULL OR updated_at >= %b::timestamptz)
          AND (%b::timestamptz IS NULL OR updated_at < %b::timestamptz)
)"""
# Other documents that say the same, word for word.
_TWINS = """(
    SELECT jsonb_agg(jsonb_build_array(twin.document_id, twin.title, twin.id, twin.place)) FROM (
        SELECT t.id, t.document_id, o.title, t.place
        FROM engines_chunk t JOIN engines_document o ON o.id = t.document_id
        WHERE t.content_hash = c.content_hash AND t.base_id = c.base_id AND t.deleted_seq IS NULL
              AND t.document_id <> c.document_id /* narrowed */
        ORDER BY t.id LIMIT /* most */
    ) twin
)""".replace("/* most */", str(MAX_TWINS))
_WITH_TEXTS = """
SELECT live.id, live.vector, live.content_hash,
       c.document_id, d.title, d.path, c.text, c.content_hash, c.place, c.heading,
       c.start_char, c.end_char, NULL
FROM (/* candidates */) live
JOIN engines_chunk c ON c.id = live.id
JOIN engines_document d ON d.id = c.document_id
""".replace("/* candidates */", _CANDIDATES)
_CHOSEN = """
SELECT id FROM engines_chunk
WHERE base_id = %b AND deleted_seq IS NULL /* narrowed */ LIMIT %b
""".replace("/* narrowed */", _OF_DOCUMENTS)
_TEXTS = """
SELECT c.id, /* vector */, c.document_id, d.title, d.path, c.text, c.content_hash, c.place, c.heading,
       c.start_char, c.end_char, /* twins */
FROM engines_chunk c JOIN engines_document d ON d.id = c.document_id
WHERE c.id = ANY(%b::bigint[]) AND c.base_id = %b AND c.deleted_seq IS NULL
""".replace("/* twins */", _TWINS)
_ITS_VECTOR = """(
    SELECT vector FROM engines_embedding
    WHERE fingerprint_id = %b AND content_hash = c.content_hash LIMIT 1
)"""


class Twin(NamedTuple):
    """The same passage in another document."""

    document_id: int
    title: str
    chunk_id: int
    place: str


class FoundBy(StrEnum):
    """What a passage was found by."""

    VECTORS = "vectors"
    WORDS = "words"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found; a text is found once.

    ``score`` is the cosine of question and text, however it was found and wherever it ranks; 0 where one of
    the two has no vector.
    """

    chunk_id: int
    document_id: int
    base_id: int
    title: str
    text: str
    score: float
    content_hash: bytes
    place: str = ""
    """Its page, sheet or slide and the headings above it, for people."""
    also: tuple[Twin, ...] = ()
    """The other documents that hold it, the oldest passages first."""
    found_by: FoundBy = FoundBy.VECTORS
    relevance: float | None = None
    """How well it answers the question, from 0 to 1, where a rank model was asked."""
    path: str = ""
    """Of its document's file."""
    heading: str = ""
    start: int | None = None
    """Where it begins in its document, in characters; unknown of the oldest passages."""
    end: int | None = None


class _Text(NamedTuple):
    """What is read of a passage once it is found."""

    document_id: int
    title: str
    path: str
    text: str
    content_hash: bytes
    place: str
    heading: str
    start: int | None
    end: int | None
    also: tuple[Twin, ...]


def _text_of(row: Sequence[Any]) -> _Text:
    """Read a row of ``_TEXTS`` behind its id."""
    also = tuple(Twin(*twin) for twin in json.loads(row[-1] or "[]"))
    return _Text._make((*row[:-1], also))


def search_bases(
    bindings: Sequence[tuple[int, VectorIndex]],
    embed_query: EmbedQuery,
    k: int,
    store: ArtifactStore,
    cache: IndexCache | None = None,
    narrowed: SearchFilter = EVERYTHING,
) -> list[Hit]:
    """Return the k best passages of several bases, best first; equal scores by chunk id.

    ``bindings`` are (base id, its index). The question is embedded once per space.
    """
    wanted = _Wanted(k, narrowed)
    files = IndexFiles(store, cache) if cache else IndexFiles(store)
    queries: dict[int, NDArray[np.float32]] = {}
    found: list[list[Hit]] = []
    for base_id, index in bindings:
        if narrowed.bases and base_id not in narrowed.bases:
            continue
        if index.base_id != base_id:
            raise IndexFileError(
                f"Index {index.pk} is not of base {base_id}; read the bindings again."
            )
        if index.fingerprint_id not in queries:
            queries[index.fingerprint_id] = np.asarray(embed_query(index), dtype=np.float32)
        # A base may be deleted between reading the bindings and here: then it has no passages.
        with suppress(NotFoundError):
            found.append(_search(index, queries[index.fingerprint_id], wanted, files))
    best = sorted(chain.from_iterable(found), key=lambda hit: (-hit.score, hit.chunk_id))
    return [
        hit
        for hit in each_text_once(best)[:k]
        if narrowed.min_score is None or hit.score >= narrowed.min_score
    ]


def read_hits(
    base_id: int,
    chunk_ids: Sequence[int],
    space: tuple[VectorIndex, NDArray[np.float32]] | None,
    narrowed: SearchFilter = EVERYTHING,
) -> list[Hit]:
    """Return chunks of a base that were found otherwise, as hits; those deleted by now are left out.

    ``space`` is the base's index and the question's vector in it, by which they are compared.
    """
    wanted = _Wanted(len(chunk_ids), narrowed)
    rows = _rows(base_id, chunk_ids, wanted, space[0].fingerprint_id if space else None)
    scores = _cosines(*space, rows) if space else {}
    texts = {row[0]: _text_of(row[2:]) for row in rows}
    return [
        Hit(key, base_id=base_id, score=scores.get(key, 0.0), **text._asdict())
        for key, text in texts.items()
    ]


def _cosines(
    index: VectorIndex, query: NDArray[np.float32], rows: Sequence[Sequence[Any]]
) -> dict[int, float]:
    """Compare what ``_rows`` read with a question; what has no vector is left out."""
    embedded = [row for row in rows if row[1] is not None]
    vectors = decode_vectors([row[1] for row in embedded], spec_of(index.fingerprint).dimension)
    ids = np.array([row[0] for row in embedded], dtype=np.int64)
    hits = search_flat(query, ids, vectors, len(embedded))
    return dict(zip(hits.ids.tolist(), hits.scores.tolist(), strict=True))


def each_text_once(hits: Sequence[Hit]) -> list[Hit]:
    """Leave the best hit of each text, with the documents of other bases beside those of its own."""
    once: dict[bytes, Hit] = {}
    for hit in hits:
        first = once.setdefault(hit.content_hash, hit)
        if first is not hit:
            twin = Twin(hit.document_id, hit.title, hit.chunk_id, hit.place)
            also = (*first.also, twin, *hit.also)[:MAX_TWINS]
            once[hit.content_hash] = replace(first, also=also)
    return list(once.values())


def search_index(
    index: VectorIndex, query: NDArray[np.float32], *, k: int, store: ArtifactStore
) -> list[Hit]:
    """Return the k best passages of one index, live or not; ``query`` (d,) is of its own space."""
    return _search(index, query, _Wanted(k), IndexFiles(store))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How many passages, and of which documents."""

    k: int
    narrowed: SearchFilter = EVERYTHING
    is_read_at_once: bool = False
    """Whether the texts of all candidates are read in the snapshot that finds them, at their cost."""

    def documents(self, base_id: int) -> list[Any]:
        """Return the values of the statement that narrows documents."""
        chosen = self.narrowed.documents
        ids = list(chosen) if chosen else None
        after, before = self.narrowed.updated_after, self.narrowed.updated_before
        return [base_id, ids, ids, after, after, before, before]


def _search(
    index: VectorIndex, query: NDArray[np.float32], wanted: _Wanted, files: IndexFiles
) -> list[Hit]:
    """Search again when a passage was deleted between finding it and reading its text."""
    for _ in range(TRIES):
        current, opened = _open(index, files)
        scores, _none_read = _best(current, opened, query, wanted)
        texts = _read(current.base_id, scores, wanted)
        if len(texts) == len(scores):
            break
    else:
        current, opened = _open(index, files)
        scores, texts = _best(current, opened, query, replace(wanted, is_read_at_once=True))
    return [
        Hit(chunk_id=pk, base_id=current.base_id, score=score, **texts[pk]._asdict())
        for pk, score in scores.items()
    ]


def _open(index: VectorIndex, files: IndexFiles) -> tuple[VectorIndex, OpenIndex | None]:
    """Read the row as it is now and open its file; twice, because a file may just be replaced.

    Without a sound file the rows answer alone, and the index is marked as lagging: upkeep rebuilds it.
    """
    current = reread(index)
    try:
        return current, files.open(current)
    except (ArtifactMissingError, IndexFileError):
        current = reread(index)
    try:
        return current, files.open(current)
    except (ArtifactMissingError, IndexFileError) as error:
        logger.warning("Index %s is searched without its file: %s", current.pk, error)
        VectorIndex.objects.filter(pk=current.pk).update(covered_seq=0)
        current.base_seq = None
        return current, None


def _best(
    index: VectorIndex, opened: OpenIndex | None, query: NDArray[np.float32], wanted: _Wanted
) -> tuple[dict[int, float], dict[int, _Text]]:
    """Return chunk id → score of the k best live texts, best first, and what they say if read at once.

    More is asked of the file as long as too many of its candidates are dead, of other documents, or say the
    same.
    """
    size, k = wanted.k + SPARE, wanted.k
    chosen = _chosen(index, wanted)
    while True:
        if chosen is None:
            candidates = opened.search(query, size).ids if opened else np.empty(0, np.int64)
        else:
            candidates = chosen
        ids, vectors, texts = _live(index, candidates, wanted)
        alive = int(np.isin(candidates, ids).sum())
        if alive >= k or len(candidates) < size or chosen is not None:
            hits = search_flat(query, ids, vectors, k)
            return dict(zip(hits.ids.tolist(), hits.scores.tolist(), strict=True)), texts
        size *= GROWTH


def _chosen(index: VectorIndex, wanted: _Wanted) -> NDArray[np.int64] | None:
    """Return all chunks of the documents asked for; None when all are asked for, or too many."""
    if not wanted.narrowed.narrows_documents:
        return None
    base_id = index.base_id
    with binary_cursor() as cursor:
        cursor.execute(
            _CHOSEN, [base_id, *wanted.documents(base_id), MAX_CHOSEN_DOCUMENT_CHUNKS + 1]
        )
        ids = np.array([row[0] for row in cursor], dtype=np.int64)
    return ids if len(ids) <= MAX_CHOSEN_DOCUMENT_CHUNKS else None


def _live(
    index: VectorIndex, candidates: NDArray[np.int64], wanted: _Wanted
) -> tuple[NDArray[np.int64], NDArray[np.float32], dict[int, _Text]]:
    base_id, is_narrow = index.base_id, wanted.narrowed.narrows_documents
    values = [
        *(array_literal(candidates.tolist()), base_id, index.base_seq or 0, base_id),
        *(wanted.documents(base_id) if is_narrow else ()),
        index.fingerprint_id,
    ]
    with binary_cursor() as cursor:
        statement = _WITH_TEXTS if wanted.is_read_at_once else _CANDIDATES
        narrowing = _OF_DOCUMENTS if is_narrow else ""
        cursor.execute(statement.replace("/* narrowed */", narrowing), values)
        rows = cursor.fetchall()
    # The oldest passage stands for all that say the same: it is the one the file holds, if any.
    first = {bytes(row[2]): row for row in sorted(rows, key=lambda row: -row[0])}
    kept = list(first.values())
    ids = np.array([row[0] for row in kept], dtype=np.int64)
    vectors = decode_vectors([row[1] for row in kept], spec_of(index.fingerprint).dimension)
    return ids, vectors, {row[0]: _text_of(row[3:]) for row in kept if wanted.is_read_at_once}


def _read(base_id: int, chunk_ids: Iterable[int], wanted: _Wanted) -> dict[int, _Text]:
    return {row[0]: _text_of(row[2:]) for row in _rows(base_id, chunk_ids, wanted, None)}


def _rows(
    base_id: int, chunk_ids: Iterable[int], wanted: _Wanted, fingerprint_id: int | None
) -> list[Sequence[Any]]:
    """Read (id, its vector in a space if one is named, its text …) of chunks that live."""
    is_narrow = wanted.narrowed.narrows_documents
    statement = _TEXTS.replace("/* narrowed */", _OF_DOCUMENTS if is_narrow else "")
    is_plain = fingerprint_id is None
    statement = statement.replace("/* vector */", "NULL" if is_plain else _ITS_VECTOR)
    values = [
        *(() if is_plain else (fingerprint_id,)),
        *(wanted.documents(base_id) if is_narrow else ()),
        *(array_literal(chunk_ids), base_id),
    ]
    with binary_cursor() as cursor:
        return cursor.execute(statement, values).fetchall()
