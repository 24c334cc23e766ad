"""What texts and spaces leave behind: vectors that no text needs any more.

A text that somebody writes at the same moment is missing again and is embedded again: how far its index was
covered is set back to before it, after the deletion's commit, when such a text can be seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from engines.db.cursors import binary_cursor
from engines.models import Chunk, Embedding, Fingerprint

PAGE = 2000

# An index on the hash alone serves the inner question, the primary key the outer one.
_ERASE = """
DELETE FROM engines_embedding AS fact
USING unnest(%b::bytea[]) AS gone (hash)
WHERE fact.fingerprint_id = ANY(%b::smallint[]) AND fact.content_hash = gone.hash
AND NOT EXISTS (SELECT 1 FROM engines_chunk AS chunk WHERE chunk.content_hash = gone.hash)
"""

# One look into the index on the hash for each vector; bases that search in the space are few or many, and
# are compared by hashing.
_PAGE = """
SELECT fact.content_hash, pg_column_size(fact.*), needed.found IS NULL
FROM (
    SELECT * FROM engines_embedding
    WHERE fingerprint_id = %b AND content_hash > %b ORDER BY content_hash LIMIT %b
) AS fact
LEFT JOIN LATERAL (
    SELECT true AS found FROM engines_chunk AS chunk
    WHERE chunk.content_hash = fact.content_hash AND chunk.deleted_seq IS NULL
    AND chunk.base_id = ANY(%b::bigint[]) LIMIT 1
) AS needed ON true
ORDER BY fact.content_hash
"""
_DROP = """
DELETE FROM engines_embedding AS fact
USING unnest(%b::bytea[]) AS gone (hash)
WHERE fact.fingerprint_id = %b AND fact.content_hash = gone.hash
AND NOT EXISTS (
    SELECT 1 FROM engines_chunk AS chunk
    WHERE chunk.content_hash = gone.hash AND chunk.deleted_seq IS NULL
    AND chunk.base_id = ANY(%b::bigint[])
)
"""
_UNCOVER = """
UPDATE engines_vectorindex AS index SET covered_seq = lost.seq - 1
FROM (
    SELECT index.id, min(chunk.created_seq) AS seq
    FROM engines_chunk AS chunk
    JOIN engines_vectorindex AS index
      ON index.base_id = chunk.base_id AND index.fingerprint_id = ANY(%b::smallint[])
    WHERE chunk.content_hash = ANY(%b::bytea[]) AND chunk.deleted_seq IS NULL
    AND chunk.created_seq <= index.covered_seq
    AND NOT EXISTS (
        SELECT 1 FROM engines_embedding AS fact
        WHERE fact.fingerprint_id = index.fingerprint_id
        AND fact.content_hash = chunk.content_hash
    )
    GROUP BY index.id
) AS lost
WHERE index.id = lost.id AND index.covered_seq >= lost.seq
"""


@dataclass(frozen=True, slots=True)
class UnneededVectors:
    """Vectors of one page of a space that no text needs, by their texts' hashes; sizes in bytes."""

    hashes: list[bytes]
    size: int


def list_content_hashes(base_ids: Sequence[int]) -> list[bytes]:
    """Return the hashes of all texts that these bases hold or held."""
    rows = Chunk.objects.filter(base_id__in=base_ids).order_by().distinct()
    return [bytes(key) for key in rows.values_list("content_hash", flat=True)]


def find_unneeded_vectors(space_id: int, base_ids: Collection[int]) -> Iterator[UnneededVectors]:
    """Read a space page by page for vectors that no live text of these bases needs."""
    after = b""
    while True:
        with binary_cursor() as cursor:
            cursor.execute(_PAGE, [space_id, after, PAGE, list(base_ids)])
            page = cursor.fetchall()
        if not page:
            return
        after = bytes(page[-1][0])
        unneeded = [(bytes(key), size) for key, size, is_unneeded in page if is_unneeded]
        yield UnneededVectors([key for key, _ in unneeded], sum(size for _, size in unneeded))


def has_vectors() -> Exists:
    """Whether a space, of a query about spaces, has a vector."""
    return Exists(Embedding.objects.filter(fingerprint=OuterRef("pk")))


def drop_vectors(space_id: int, hashes: Sequence[bytes], base_ids: Collection[int]) -> int:
    """Remove vectors of a space unless a live text of these bases needs them by now; returns how many."""
    with binary_cursor() as cursor:
        cursor.execute(_DROP, [list(hashes), space_id, list(base_ids)])
        dropped: int = cursor.rowcount
    _uncover([space_id], hashes)
    return dropped


def erase_vectors(hashes: Sequence[bytes]) -> int:
    """Remove the vectors of texts that no base holds or held any more; returns how many."""
    spaces = list(Fingerprint.objects.values_list("pk", flat=True))
    erased = 0
    for start in range(0, len(hashes), PAGE):
        page = list(hashes[start : start + PAGE])
        with binary_cursor() as cursor:
            cursor.execute(_ERASE, [page, spaces])
            erased += cursor.rowcount
        _uncover(spaces, page)
    return erased


def _uncover(spaces: Sequence[int], hashes: Sequence[bytes]) -> None:
    with binary_cursor() as cursor:
        cursor.execute(_UNCOVER, [list(spaces), list(hashes)])
