"""How every runtime embeds: texts in batches, and rows of numbers that are usable vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

EMPTY = "The text is empty; there is nothing to embed."
NO_TOKENS = "The model's tokenizer finds nothing in this text."
NO_NUMBERS = "The model gives no usable vector for this text (not a number, or all zeros)."
MOST_TEXTS = 256
MOST_CHARACTERS = 1_000_000


def usable_row(row: NDArray[np.float32], *, normalise: bool) -> NDArray[np.float32] | None:
    """The vector, of length 1 when ``normalise``; None when it has no direction."""
    length = float(np.linalg.norm(row))
    if not np.isfinite(length) or length == 0.0:
        return None
    return (row / length).astype(np.float32) if normalise else row


def batches(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Cut texts into requests that other callers can get between; a longer text goes alone.

    Each text comes with its number, in order.
    """
    batch: list[tuple[int, str]] = []
    size = 0
    for number, text in enumerate(texts):
        if batch and (len(batch) == MOST_TEXTS or size + len(text) > MOST_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append((number, text))
        size += len(text)
    if batch:
        yield batch
