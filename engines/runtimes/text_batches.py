"""Cuts a list of texts into requests that other callers can get between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MOST_TEXTS = 256
MOST_CHARACTERS = 1_000_000


def batches(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """The texts with their numbers, in order; a longer text goes alone."""
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
