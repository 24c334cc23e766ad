"""Rules of every runtime that embeds: batches of texts, and which rows are usable vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

EMPTY = "The text is empty; there is nothing to embed."
NO_TOKENS = "The model's tokenizer finds nothing in this text."
NO_NUMBERS = "The model gives no usable vector for this text (not a number, or all zeros)."
MAX_BATCH_TEXTS = 256
MAX_BATCH_CHARS = 1_000_000


def to_usable_vector(row: NDArray[np.float32], *, normalise: bool) -> NDArray[np.float32] | None:
    """Return the vector, of length 1 when ``normalise``; None when it has no direction."""
    # NaN and infinity make the length one too, so this one number decides.
    length = float(np.linalg.norm(row))
    if not np.isfinite(length) or length == 0.0:
        return None
    return (row / length).astype(np.float32) if normalise else row


def split_batches(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Split texts into requests, between which others are served; a very long text goes alone.

    Each text comes with its number, in order.
    """
    batch: list[tuple[int, str]] = []
    size = 0
    for number, text in enumerate(texts):
        if batch and (len(batch) == MAX_BATCH_TEXTS or size + len(text) > MAX_BATCH_CHARS):
            yield batch
            batch, size = [], 0
        batch.append((number, text))
        size += len(text)
    if batch:
        yield batch
