"""Embedding in an engine's child: texts in, unit vectors out, a sentence for each that has none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from queue import SimpleQueue

import numpy as np
from llama_cpp import llama_cpp as api
from numpy.typing import NDArray

from engines.fit.embedding import plan_contexts
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.llama_cpp.embedding.token_embedder import NumberedTokens, TokenEmbedder
from engines.runtimes.llama_cpp.native import ContextShape, LoadedModel, NativeContext, Part
from engines.specs import EmbeddingSpec

Pack = list[NumberedTokens]
"""Texts that are computed together."""
Row = NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class EmbedLayout:
    """How the host's cores are used."""

    threads: int
    lanes: int
    """Contexts that compute side by side; each gets its share of the threads."""
    pack_tokens: int
    """Short texts are computed together up to this many tokens."""
    by_pieces: bool = False
    """Whether the model only looks back, so that a text need not be computed at once."""


class Embedder(TokenEmbedder):
    """Embeds with one or more contexts of one model; called from one thread.

    What is computed together is decided from the whole list before anything is computed, so the
    same list always gives the same vectors, whatever the timing.
    """

    def __init__(self, model: LoadedModel, spec: EmbeddingSpec, layout: EmbedLayout) -> None:
        super().__init__(model, spec)
        self.layout = layout
        self._contexts = self._make_contexts()
        self._pool = ThreadPoolExecutor(len(self._contexts))

    def with_room(self, lanes: int, pack_tokens: int) -> Embedder:
        """Return an embedder of the same model whose new contexts have room for this layout."""
        layout = replace(self.layout, lanes=lanes, pack_tokens=pack_tokens)
        return Embedder(self._model, self._spec, layout)

    def with_layout(self, layout: EmbedLayout) -> Embedder:
        """Return an embedder that shares these contexts; only one of the two may be used at a time."""
        other = copy(self)
        other.layout = layout
        other._contexts = self._contexts[: max(1, layout.lanes)]
        return other

    def _make_contexts(self) -> list[NativeContext]:
        planned = plan_contexts(
            self.limit,
            lanes=self.layout.lanes,
            pack_tokens=self.layout.pack_tokens,
            by_pieces=self.layout.by_pieces,
        )
        shape = ContextShape(
            context=planned.room,
            batch=planned.batch,
            sequences=min(planned.texts, int(api.llama_max_parallel_sequences())),
            threads=self.layout.threads,
            # llama.cpp would pool each piece by itself.
            pooling="none" if self.layout.by_pieces else self._spec.pooling,
        )
        return [NativeContext(self._model, shape) for _ in range(planned.lanes)]

    def compute(self, work: Sequence[NumberedTokens], result: EmbeddingBatch) -> None:
        packs = list(self._packs(work))
        lanes = min(len(self._contexts), len(packs))
        if not lanes:
            return
        # Workers take whichever context is free; which one computes a pack does not change its vectors.
        free: SimpleQueue[NativeContext] = SimpleQueue()
        for context in self._contexts[:lanes]:
            context.use_threads(max(1, self.layout.threads // lanes))
            free.put(context)
        # Longest first: the short ones at the end let all lanes finish at about the same time.
        ordered = sorted(packs, key=_tokens_in, reverse=True)
        encode = self._encode_by_pieces if self.layout.by_pieces else _encode_pack
        done = self._pool.map(lambda pack: _with_free(free, pack, encode), ordered)
        for pack, rows in zip(ordered, done, strict=True):
            for (number, _tokens), row in zip(pack, rows, strict=True):
                self.store(number, row, result)

    def _packs(self, work: Iterable[NumberedTokens]) -> Iterable[Pack]:
        pack: Pack = []
        size = 0
        shape = self._contexts[0].shape
        limit, room = shape.sequences, min(self.layout.pack_tokens, shape.batch)
        for item in work:
            if pack and (size + len(item[1]) > room or len(pack) == limit):
                yield pack
                pack, size = [], 0
            pack.append(item)
            size += len(item[1])
        if pack:
            yield pack

    def _encode_by_pieces(self, context: NativeContext, pack: Pack) -> list[Row]:
        """Compute a pack in one batch, or one long text piece by piece."""
        step = context.shape.batch
        if len(pack) > 1:
            rows = context.encode_rows([Part(tokens, 0, at) for at, (_, tokens) in enumerate(pack)])
            ends = np.cumsum([len(tokens) for _, tokens in pack])[:-1]
            return [self._pooled(part) for part in np.split(rows, ends)]
        tokens = pack[0][1]
        pieces = [
            context.encode_rows([Part(tokens[start : start + step], start, 0)])
            for start in range(0, len(tokens), step)
        ]
        return [self._pooled(np.concatenate(pieces))]

    def _pooled(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """One vector of a text's rows, (tokens, d) float32, as llama.cpp pools."""
        if self._spec.pooling == "mean":
            rows = rows.mean(axis=0, dtype=np.float32, keepdims=True)
        vector: NDArray[np.float32] = rows[0 if self._spec.pooling == "cls" else -1]
        return vector


def _tokens_in(pack: Sequence[NumberedTokens]) -> int:
    return sum(len(tokens) for _, tokens in pack)


def _with_free(
    free: SimpleQueue[NativeContext], pack: Pack, encode: Callable[[NativeContext, Pack], list[Row]]
) -> list[Row]:
    context = free.get()
    try:
        # Vectors of the texts before must not take part in attention.
        context.clear()
        return encode(context, pack)
    finally:
        free.put(context)


def _encode_pack(context: NativeContext, pack: Pack) -> list[Row]:
    context.encode([tokens for _, tokens in pack])
    return [context.vector(number) for number in range(len(pack))]
