"""The contexts in which a model embeds: how many tokens each takes at once, and how many there are.

The engine makes its contexts by these rules, and what they take is counted by the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.fit.memory import Load
from engines.fit.model_shape import ModelShape

DEFAULT_TEXT_TOKENS = 2048
"""Longest text of an embedder whose entry names none: about three times the longest passage. Files
state up to 131 072, and a model that sees a text at once reserves memory for all of them."""
PIECE_TOKENS = 512
"""A text is read by pieces of this size where the model only looks back."""
MAX_LANE_TOKENS = 2048
"""Above this text limit a second context costs more memory than it wins."""
MAX_DEFAULT_LANES = 8
MAX_PACK_TEXTS = 64
"""Most texts that are computed together."""


@dataclass(frozen=True, slots=True)
class EmbedContexts:
    """Contexts of one shape, side by side."""

    room: int
    """Tokens in one context."""
    batch: int
    """Tokens that are computed at once."""
    texts: int
    """Most texts in one context at a time."""
    lanes: int

    def load(self, *, flash_attention: bool) -> Load:
        """Return what these contexts are, for counting their memory."""
        return Load(
            self.room,
            parallel=self.texts,
            batch=self.batch,
            flash_attention=flash_attention,
            shared=True,
            contexts=self.lanes,
        )


def plan_contexts(
    limit: int, *, lanes: int, pack_tokens: int = 0, by_pieces: bool = False
) -> EmbedContexts:
    """Return the contexts for texts of up to ``limit`` tokens.

    ``by_pieces`` is for models that only look back: their batch need not hold a whole text, and it
    keeps all cores busy, so one context is enough. ``pack_tokens`` is 0 where each text goes alone.
    """
    room = max(limit, pack_tokens)
    batch = min(room, PIECE_TOKENS) if by_pieces else room
    return EmbedContexts(
        room=room,
        batch=batch,
        texts=min(MAX_PACK_TEXTS, room) if pack_tokens else 1,
        lanes=1 if by_pieces or limit > MAX_LANE_TOKENS else max(lanes, 1),
    )


def contexts_of(
    shape: ModelShape, max_tokens: int, *, lanes: int, pack: int = 0, whole: bool = False
) -> EmbedContexts:
    """Return the contexts for a model whose file has this shape; ``whole`` reads no text by pieces."""
    limit = min(filter(None, (max_tokens, shape.context_length)), default=DEFAULT_TEXT_TOKENS)
    return plan_contexts(
        limit, lanes=lanes, pack_tokens=pack, by_pieces=shape.looks_back and not whole
    )


def default_lanes(threads: int, *, on_gpu: bool) -> int:
    """Return how many contexts embed best: one keeps a GPU busy, cores are kept busy by one each."""
    return 1 if on_gpu else min(max(threads, 1), MAX_DEFAULT_LANES)
