"""Vector indexes: what they lack, what they answer for, and the immutable file each one has.

A live chunk is in the file when ``created_seq <= base_seq``, else in the delta. ``write_seq`` grows in the
order of commits, so three WHERE clauses say it all and no statement here needs a long transaction.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Greatest
from numpy.typing import NDArray

from engines.db.cursors import binary_cursor
from engines.db.prepared import Parameter, PreparedQuery
from engines.exceptions import ConflictError, NotFoundError
from engines.files.artifacts import ArtifactStore
from engines.models import Chunk, Fingerprint, KnowledgeBase, VectorIndex
from engines.services.knowledge.embedding_rows import decode_vectors
from engines.services.knowledge.fingerprints import spec_of
from engines.services.knowledge.index_files import IndexFiles
from engines.vectors import IndexFile, OpenIndex, build_index, read_recall

COMPACT_AT_LEAST = 256
COMPACT_AT_MOST = 4096
COMPACT_SHARE = 20
"""A file is rebuilt when more than a 20th of it (within these bounds) was written or deleted since."""

LATEST = 2**63 - 1
PAGE = 2000
"""Chunks read in one statement; what is held in memory beside ids does not grow with the base."""

ARTIFACT_KIND = "indexes"

# One look into the primary key per chunk; the LIMIT keeps the planner from joining whole tables.
FACT = """
LEFT JOIN LATERAL (
    SELECT true AS known, e.vector FROM engines_embedding e
    WHERE e.fingerprint_id = %s AND e.content_hash = c.content_hash LIMIT 1
) fact ON true
"""
_MISSING = """
SELECT c.id, c.content_hash, c.created_seq FROM engines_chunk c {fact}
WHERE c.base_id = %s AND c.created_seq > %s AND c.created_seq <= %s
AND c.deleted_seq IS NULL AND fact.known IS NULL
ORDER BY c.created_seq, c.id LIMIT %s
""".replace("{fact}", FACT)
_COUNTS = """
SELECT count(*), count(fact.vector), count(fact.known) - count(fact.vector),
       count(*) - count(fact.known)
FROM engines_chunk c {fact}
WHERE c.base_id = %s AND c.deleted_seq IS NULL
""".replace("{fact}", FACT)
_SURVEY = """
SELECT c.id, c.created_seq, fact.known IS NULL, fact.vector IS NOT NULL
FROM engines_chunk c {fact}
WHERE c.base_id = %s AND c.id > %s AND c.deleted_seq IS NULL AND c.created_seq <= %s
ORDER BY c.id LIMIT %s
""".replace("{fact}", FACT)
_FACTS_OF = """
SELECT c.id, c.content_hash, fact.vector, c.base_id, c.deleted_seq IS NULL
FROM unnest(%b::bigint[]) AS wanted (id)
JOIN LATERAL (
    SELECT * FROM engines_chunk WHERE id = wanted.id LIMIT 1
) c ON true {fact}
WHERE fact.vector IS NOT NULL
ORDER BY c.id
""".replace("{fact}", FACT.replace("%s", "%b"))
_DELTA = """
SELECT c.id, c.content_hash, fact.vector FROM engines_chunk c {fact}
WHERE c.base_id = %b AND c.created_seq > %b AND c.deleted_seq IS NULL AND fact.vector IS NOT NULL
ORDER BY c.id
""".replace("{fact}", FACT.replace("%s", "%b"))
_TURNOVER = """
SELECT count(*) FROM (
    SELECT 1 FROM engines_chunk
    WHERE base_id = %(base)s AND created_seq > %(seq)s AND deleted_seq IS NULL
    UNION ALL
    SELECT 1 FROM engines_chunk
    WHERE base_id = %(base)s AND deleted_seq > %(seq)s AND created_seq <= %(seq)s
    LIMIT %(most)s
) changed
"""


@dataclass(frozen=True, slots=True)
class Delta:
    """Live chunks that are not in the file: ids (n,), content hashes, vectors (n, d) float32."""

    ids: NDArray[np.int64]
    hashes: list[bytes]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class IndexCounts:
    """Of a base's live chunks: all, with a vector, with a reason why not, with neither; rows in the file."""

    live: int
    embedded: int
    errors: int
    missing: int
    in_file: int


def index_for(base: KnowledgeBase, fingerprint: Fingerprint) -> VectorIndex:
    """Return the base's index in this space; a row from the moment somebody wants it."""
    index, _ = VectorIndex.objects.get_or_create(base=base, fingerprint=fingerprint)
    return index


def index_again(index_id: int) -> VectorIndex:
    """Read an index's row as it is now: file and ``base_seq`` in one SELECT."""
    index = (
        VectorIndex.objects.select_related("base", "fingerprint__revision__model")
        .filter(pk=index_id)
        .first()
    )
    if index is None:
        raise NotFoundError(f"The index {index_id} is gone with its base.")
    return index


@PreparedQuery
def _row_of(index_id: Parameter) -> QuerySet[VectorIndex]:
    """Return an index's row alone."""
    return VectorIndex.objects.filter(pk=index_id).order_by()


def reread(index: VectorIndex) -> VectorIndex:
    """Read an index's row as ``index_again`` does, for every search: its space is that of ``index``."""
    row = _row_of.first(index.pk)
    if row is None:
        raise NotFoundError(f"The index {index.pk} is gone with its base.")
    # Neither of an index ever changes, and a space is not written to.
    row.fingerprint = index.fingerprint
    return row


def missing_chunks(
    index: VectorIndex, *, after_seq: int, limit: int, up_to_seq: int = LATEST
) -> list[Chunk]:
    """Return live chunks with neither vector nor error, oldest first; their text is not read."""
    values = [index.fingerprint_id, index.base_id, after_seq, up_to_seq, limit]
    return list(Chunk.objects.raw(_MISSING, values))


def is_ready(index: VectorIndex) -> bool:
    """Whether nothing live is missing: it has a file, and all written since has its embedding.

    Exact only under the base's lock, in a statement that begins after the lock was taken.
    """
    base_seq = VectorIndex.objects.filter(pk=index.pk).values_list("base_seq", flat=True).first()
    return base_seq is not None and not missing_chunks(index, after_seq=base_seq, limit=1)


def should_compact(index: VectorIndex) -> bool:
    """Whether so much was written or deleted since the file that building it again pays."""
    if index.base_seq is None:
        return True
    share = index.file_count // COMPACT_SHARE
    limit = min(max(COMPACT_AT_LEAST, share), COMPACT_AT_MOST)
    values = {"base": index.base_id, "seq": index.base_seq, "most": limit + 1}
    return bool(_one_row(_TURNOVER, values)[0] > limit)


def delta(index: VectorIndex) -> Delta:
    """Return what was written since the file that this row names (all, when it names none)."""
    with binary_cursor() as cursor:
        cursor.execute(_DELTA, [index.fingerprint_id, index.base_id, index.base_seq or 0])
        rows = cursor.fetchall()
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    dimension = spec_of(index.fingerprint).dimension
    vectors = decode_vectors([row[2] for row in rows], dimension)
    return Delta(ids, [bytes(row[1]) for row in rows], vectors)


def build_file(
    index: VectorIndex, store: ArtifactStore, scratch: Path, *, checkpoint: Callable[[], None]
) -> VectorIndex:
    """Build the index's file of all that is live and embedded now, publish it, and return the row.

    ``base_seq`` becomes the base's ``write_seq``, or less when something before it is not embedded. The
    row only moves forward, and only from the file it named at the start: whoever is late leaves his
    file to the collector. From ``SAM_APPROXIMATE_FROM`` passages on the file is approximate, where that
    finds enough. ``checkpoint`` may raise between pages; nothing has changed then.
    """
    before = index_again(index.pk)
    survey = _survey(before, checkpoint)
    path = scratch / f"index-{before.pk}-{uuid.uuid4().hex}.faiss"
    try:
        batches = _vector_batches(before, survey.ids, checkpoint)
        file = build_index(
            path,
            survey.ids,
            batches,
            dimension=spec_of(before.fingerprint).dimension,
            approximate_from=settings.SAM_APPROXIMATE_FROM,
            checkpoint=checkpoint,
        )
        key = store.put_file(path, kind=ARTIFACT_KIND).key
    finally:
        path.unlink(missing_ok=True)
    _publish(before, file, key, survey.base_seq)
    return index_again(before.pk)


@dataclass(frozen=True, slots=True)
class _Survey:
    """What a new file holds: chunk ids, ascending, and up to which sequence it is complete."""

    ids: NDArray[np.int64]
    base_seq: int


def _survey(index: VectorIndex, checkpoint: Callable[[], None]) -> _Survey:
    """Read page by page: a chunk live later was live all the time, so no page can miss it."""
    base_seq = KnowledgeBase.objects.values_list("write_seq", flat=True).get(pk=index.base_id)
    upper, after = base_seq, 0
    ids = [np.empty(0, np.int64)]
    while True:
        checkpoint()
        values = [index.fingerprint_id, index.base_id, after, upper, PAGE]
        with connection.cursor() as cursor:
            cursor.execute(_SURVEY, values)
            page = cursor.fetchall()
        if not page:
            return _Survey(np.concatenate(ids), base_seq)
        after = page[-1][0]
        ids.append(np.array([row[0] for row in page if row[3]], dtype=np.int64))
        base_seq = min([base_seq, *(created - 1 for _, created, lacks, _ in page if lacks)])


def _vector_batches(
    index: VectorIndex, ids: NDArray[np.int64], checkpoint: Callable[[], None]
) -> Iterator[NDArray[np.float32]]:
    dimension = spec_of(index.fingerprint).dimension
    for page in _pages(ids):
        checkpoint()
        rows = _facts_of(index, page)
        if len(rows) != len(page):
            raise ConflictError(
                f"The base {index.base_id} was deleted or its embeddings collected while its index "
                "was built; nothing was published."
            )
        yield decode_vectors([row[2] for row in rows], dimension)


def _pages(ids: NDArray[np.int64]) -> Iterator[list[int]]:
    for start in range(0, len(ids), PAGE):
        yield ids[start : start + PAGE].tolist()


def _facts_of(index: VectorIndex, ids: list[int]) -> list[tuple[Any, ...]]:
    with binary_cursor() as cursor:
        cursor.execute(_FACTS_OF, [ids, index.fingerprint_id])
        return cursor.fetchall()


def _publish(before: VectorIndex, file: IndexFile, key: str, base_seq: int) -> None:
    unchanged = VectorIndex.objects.filter(pk=before.pk, file_key=before.file_key)
    unchanged.filter(Q(base_seq__isnull=True) | Q(base_seq__lte=base_seq)).update(
        file_key=key,
        file_sha256=file.sha256,
        file_count=file.count,
        base_seq=base_seq,
        covered_seq=Greatest("covered_seq", Value(base_seq)),
    )


def describe_recall(indexes: Iterable[VectorIndex], store: ArtifactStore) -> str:
    """Say in brackets what the worst approximate file of these finds; nothing when all are exact.

    As it was measured when each was built, and is said by its file.
    """
    keys = [index_again(index.pk).file_key for index in indexes]
    recalls = [recall for key in keys if key and (recall := _recall_of(key, store)) is not None]
    if not recalls:
        return ""
    return f" (approximate: {min(recalls):.1%} of the ten nearest passages are found)"


def _recall_of(key: str, store: ArtifactStore) -> float | None:
    with store.open(key) as file:
        return read_recall(file)


def index_counts(index: VectorIndex, store: ArtifactStore) -> IndexCounts:
    """Count what an index can answer for and what not; opens (and so checks) its file."""
    current = index_again(index.pk)
    opened = IndexFiles(store).open(current)
    values = [current.fingerprint_id, current.base_id]
    live, embedded, errors, missing = _one_row(_COUNTS, values)
    in_file = opened.count if opened else 0
    return IndexCounts(live, embedded, errors, missing, in_file)


def index_content(index: VectorIndex, store: ArtifactStore) -> set[tuple[int, bytes]]:
    """Return the (chunk id, content hash) pairs that a search of this index can give.

    From the file only what is live in its base and whose row there is that text's vector. Exact while
    others write only inside one snapshot of the database.
    """
    current = index_again(index.pk)
    opened = IndexFiles(store).open(current)
    late = delta(current)
    content = set(zip(late.ids.tolist(), late.hashes, strict=True))
    return content | set(_file_content(current, opened) if opened else ())


def _file_content(index: VectorIndex, opened: OpenIndex) -> Iterator[tuple[int, bytes]]:
    for page in _pages(opened.ids()):
        rows = _facts_of(index, page)
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        vectors = decode_vectors([row[2] for row in rows], opened.dimension)
        same = opened.holds(ids, vectors).tolist() if rows else []
        for (pk, content_hash, _, base_id, live), is_same in zip(rows, same, strict=True):
            if live and base_id == index.base_id and is_same:
                yield pk, bytes(content_hash)


def base_content(base: KnowledgeBase, fingerprint_id: int) -> set[tuple[int, bytes]]:
    """Return the (chunk id, content hash) pairs of a base that have a vector in this space."""
    whole = VectorIndex(base=base, fingerprint_id=fingerprint_id)
    everything = delta(whole)
    return set(zip(everything.ids.tolist(), everything.hashes, strict=True))


def index_digest(index: VectorIndex, store: ArtifactStore) -> str:
    """Return a SHA-256 of what the index answers for; equal to ``base_digest`` when all is well."""
    return _digest(index_content(index, store))


def base_digest(base: KnowledgeBase, fingerprint_id: int) -> str:
    """Return a SHA-256 of what the database says that an index in this space must answer for."""
    return _digest(base_content(base, fingerprint_id))


def _digest(content: Iterable[tuple[int, bytes]]) -> str:
    digest = hashlib.sha256()
    for pk, content_hash in sorted(content):
        digest.update(b"%d:%s;" % (pk, content_hash))
    return digest.hexdigest()


def _one_row(statement: str, values: Any) -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[int, ...] = cursor.fetchone()
        return row
