"""Embeddings as facts: one row per (vector space, text), written once, asked by hash.

Facts are always looked up one by one, with LATERAL and LIMIT 1: on a space that the planner's statistics
do not know yet, NOT EXISTS becomes a nested loop over everything and a join reads the whole space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from engines.db.cursors import binary_cursor

STORED = np.dtype("<f2")
"""Half precision: moves a unit vector's cosine by less than 5e-4, halves the table."""

NO_FINITE_VECTOR = "The embedder gave no usable vector for this text."

_MISSING = """
SELECT wanted.hash FROM unnest(%b::bytea[]) AS wanted (hash)
LEFT JOIN LATERAL (
    SELECT true AS known FROM engines_embedding
    WHERE fingerprint_id = %b AND content_hash = wanted.hash LIMIT 1
) fact ON true
WHERE fact.known IS NULL
"""
_VECTORS = """
SELECT wanted.hash, fact.vector FROM unnest(%b::bytea[]) AS wanted (hash)
JOIN LATERAL (
    SELECT vector FROM engines_embedding
    WHERE fingerprint_id = %b AND content_hash = wanted.hash AND vector IS NOT NULL LIMIT 1
) fact ON true
"""
_STORE = """
INSERT INTO engines_embedding (fingerprint_id, content_hash, vector, error)
SELECT %b::smallint, hash, vector, error
FROM unnest(%b::bytea[], %b::bytea[], %b::text[]) AS fact (hash, vector, error)
ORDER BY hash
ON CONFLICT DO NOTHING
"""


def missing_hashes(fingerprint_id: int, hashes: Sequence[bytes]) -> set[bytes]:
    """Return those of ``hashes`` that have neither a vector nor an error in this space."""
    if not hashes:
        return set()
    with binary_cursor() as cursor:
        cursor.execute(_MISSING, [list(set(hashes)), fingerprint_id])
        return {bytes(row[0]) for row in cursor}


def load_vectors(fingerprint_id: int, hashes: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
    """Return the vectors, float32, of those hashes that have one."""
    with binary_cursor() as cursor:
        cursor.execute(_VECTORS, [list(set(hashes)), fingerprint_id])
        return {bytes(key): decode_vector(value) for key, value in cursor}


def store_embeddings(
    fingerprint_id: int, vectors: Mapping[bytes, NDArray[np.float32]], errors: Mapping[bytes, str]
) -> int:
    """Store facts in one sorted statement and transaction; returns how many were new.

    Sorted, because two writers that insert the same hashes in different orders deadlock. A vector
    that is not finite in half precision, or zero, is stored as an error.
    """
    facts: dict[bytes, tuple[bytes | None, str]] = {
        key: (encode_vector(vector), "") for key, vector in vectors.items()
    }
    facts |= {key: (None, NO_FINITE_VECTOR) for key, fact in facts.items() if fact[0] is None}
    facts |= {key: (None, sentence or NO_FINITE_VECTOR) for key, sentence in errors.items()}
    if not facts:
        return 0
    values = [fact[0] for fact in facts.values()], [fact[1] for fact in facts.values()]
    with transaction.atomic(), binary_cursor() as cursor:
        cursor.execute(_STORE, [fingerprint_id, list(facts), *values])
        return cursor.rowcount


def encode_vector(vector: NDArray[np.float32]) -> bytes | None:
    """Return the bytes that are stored, or None for a vector nobody could search with."""
    with np.errstate(over="ignore"):
        half = vector.astype(STORED)
    usable = bool(np.isfinite(half).all()) and bool(half.any())
    return half.tobytes() if usable else None


def decode_vector(stored: bytes) -> NDArray[np.float32]:
    """Return what ``encode_vector`` kept, float32."""
    return np.frombuffer(stored, STORED).astype(np.float32)


def decode_vectors(stored: Sequence[bytes], dimension: int) -> NDArray[np.float32]:
    """Return stored vectors as one (n, dimension) float32 matrix."""
    flat = np.frombuffer(b"".join(stored), STORED).astype(np.float32)
    return flat.reshape(len(stored), dimension)
