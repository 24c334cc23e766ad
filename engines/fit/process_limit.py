"""How much private memory an engine's own process may take: what is counted for it, and a margin."""

from __future__ import annotations

from collections.abc import Mapping

from engines.fit.memory import Load, estimate
from engines.fit.model_shape import ModelShape

MARGIN_BYTES = 1024**3
"""Interpreter, vocabulary, grammars, templates, whatever a library keeps for itself."""
WORK_FACTOR = 1.5
"""Of what is computed with: llama.cpp reserves more for some operations than is counted."""
THREAD_BYTES = 16 * 1024**2
"""A thread's stack and its share of the allocator, both private memory from the start."""
UNREAD_FACTOR = 3
"""Of the file's size, where nobody can tell what its header means."""


def process_limit(shape: ModelShape, contexts: Mapping[Load, int], threads: int) -> int:
    """Return the bytes for a model with so many contexts of each kind.

    The weights are counted although they are mapped: some are packed anew for the processor at hand.
    """
    work = sum(
        count * (found.total - found.weights - found.process)
        for found, count in ((estimate(shape, load), count) for load, count in contexts.items())
    )
    return shape.weights_bytes + int(work * WORK_FACTOR) + threads * THREAD_BYTES + MARGIN_BYTES


def unread_limit(size: int) -> int:
    """Return the bytes for a file of ``size`` bytes about which nothing else is known."""
    return size * UNREAD_FACTOR + MARGIN_BYTES
