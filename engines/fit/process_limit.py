"""How much private memory an engine's own process may take: what is counted for it, and a margin."""

from __future__ import annotations

from collections.abc import Iterable

from engines.fit.embedding import EmbedContexts
from engines.fit.memory import Load, estimate
from engines.fit.model_shape import ModelShape

MARGIN_BYTES = 1024**3
"""Interpreter, vocabulary, grammars, templates, whatever a library keeps for itself."""
WORK_FACTOR = 1.5
"""Of what is computed with: llama.cpp reserves more for some operations than is counted."""
THREAD_BYTES = 16 * 1024**2
"""A thread's stack and its share of the allocator, both private memory from the start."""
_FLOAT = 4
UNREAD_FACTOR = 3
"""Of the file's size, where nobody can tell what its header means."""


def process_limit(
    shape: ModelShape, loads: Iterable[Load], embedding: EmbedContexts, *, threads: int
) -> int:
    """Return the bytes for a model with these loads, of which ``embedding`` is one.

    The weights are counted although they are mapped: some are packed anew for the processor at hand.
    """
    estimates = [estimate(shape, load) for load in loads]
    work = sum(found.total - found.weights - found.process for found in estimates)
    work += _output_bytes(shape, embedding)
    return shape.weights_bytes + int(work * WORK_FACTOR) + threads * THREAD_BYTES + MARGIN_BYTES


def _output_bytes(shape: ModelShape, contexts: EmbedContexts) -> int:
    """What llama.cpp sets aside at the first text: logits for each token, though none are asked for."""
    row = _FLOAT * (shape.vocabulary + shape.width)
    return row * contexts.batch * contexts.lanes


def unread_limit(size: int) -> int:
    """Return the bytes for a file of ``size`` bytes about which nothing else is known."""
    return size * UNREAD_FACTOR + MARGIN_BYTES
