"""What texts leave behind when they are erased: vectors that no text needs any more."""

from __future__ import annotations

from collections.abc import Sequence

from engines.db.cursors import binary_cursor
from engines.models import Chunk, Fingerprint

PAGE = 2000

# An index on the hash alone serves the inner question, the primary key the outer one.
_ERASE = """
DELETE FROM engines_embedding AS fact
USING unnest(%b::bytea[]) AS gone (hash)
WHERE fact.fingerprint_id = ANY(%b::smallint[]) AND fact.content_hash = gone.hash
AND NOT EXISTS (SELECT 1 FROM engines_chunk AS chunk WHERE chunk.content_hash = gone.hash)
"""


def list_content_hashes(base_ids: Sequence[int]) -> list[bytes]:
    """Return the hashes of all texts that these bases hold or held."""
    rows = Chunk.objects.filter(base_id__in=base_ids).order_by().distinct()
    return [bytes(key) for key in rows.values_list("content_hash", flat=True)]


def erase_vectors(hashes: Sequence[bytes]) -> int:
    """Remove the vectors of texts that no base holds any more; returns how many.

    A text that somebody writes at the same moment is simply missing again, and is embedded again.
    """
    spaces = list(Fingerprint.objects.values_list("pk", flat=True))
    erased = 0
    for start in range(0, len(hashes), PAGE):
        with binary_cursor() as cursor:
            cursor.execute(_ERASE, [list(hashes[start : start + PAGE]), spaces])
            erased += cursor.rowcount
    return erased
