"""Embedding in an engine's child: texts in, unit vectors out, a sentence for each that has none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as api
from numpy.typing import NDArray

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.llama_cpp.native import POOLINGS, ContextShape, LoadedModel, NativeContext
from engines.runtimes.vector_rules import EMPTY, NO_NUMBERS, NO_TOKENS, to_usable_vector
from engines.specs import EmbeddingSpec

MAX_PACK_TEXTS = 64
"""Most texts in one pack."""
MAX_LANE_TOKENS = 2048
"""Above this text limit a second context costs more memory than it wins."""


@dataclass(frozen=True, slots=True)
class EmbedLayout:
    """How the host's cores are used."""

    threads: int
    lanes: int
    """Contexts that compute side by side; each gets its share of the threads."""
    pack_tokens: int
    """Short texts are computed together up to this many tokens."""


class Embedder:
    """Embeds with one or more contexts of one model; called from one thread.

    What is computed together is decided from the whole list before anything is computed, so the
    same list always gives the same vectors, whatever the timing.
    """

    def __init__(self, model: LoadedModel, spec: EmbeddingSpec, layout: EmbedLayout) -> None:
        _check(model, spec)
        self._model = model
        self._spec = spec
        self.layout = layout
        self.limit = min(spec.max_tokens, model.context_limit)
        self._ending = _ending_tokens(model)
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
        lanes = self.layout.lanes if self.limit <= MAX_LANE_TOKENS else 1
        room = max(self.limit, self.layout.pack_tokens)
        shape = ContextShape(
            context=room,
            batch=room,
            sequences=min(MAX_PACK_TEXTS, room, int(api.llama_max_parallel_sequences())),
            threads=self.layout.threads,
            pooling=self._spec.pooling,
        )
        return [NativeContext(self._model, shape) for _ in range(max(1, lanes))]

    def tokens(self, text: str) -> list[int]:
        """Tokens as the model gets them: cut to its limit, the closing token kept."""
        tokens = self._model.tokenize(text, add_special=True, parse_special=False)
        if len(tokens) <= self.limit:
            return tokens
        # Models that pool the last token were trained with the closing one there.
        if tokens[-1] in self._ending:
            return [*tokens[: self.limit - 1], tokens[-1]]
        return tokens[: self.limit]

    def embed(self, texts: Sequence[str], *, query: bool) -> EmbeddingBatch:
        """Vectors (n, d) of ``texts`` with the prefix of a query or a document."""
        prefix = self._spec.query_prefix if query else self._spec.document_prefix
        result = EmbeddingBatch(np.full((len(texts), self._model.dimension), np.nan, np.float32))
        work: list[tuple[int, list[int]]] = []
        for number, text in enumerate(texts):
            try:
                tokens = self.tokens(prefix + text) if text.strip() else []
            except InvalidRequestError as error:
                result.errors[number] = str(error)
                continue
            if tokens:
                work.append((number, tokens))
            else:
                result.errors[number] = NO_TOKENS if text.strip() else EMPTY
        self._compute(list(self._packs(work)), result)
        return result

    def _packs(
        self, work: Iterable[tuple[int, list[int]]]
    ) -> Iterable[list[tuple[int, list[int]]]]:
        pack: list[tuple[int, list[int]]] = []
        size = 0
        limit = self._contexts[0].shape.sequences
        for item in work:
            if pack and (size + len(item[1]) > self.layout.pack_tokens or len(pack) == limit):
                yield pack
                pack, size = [], 0
            pack.append(item)
            size += len(item[1])
        if pack:
            yield pack

    def _compute(
        self, packs: Sequence[list[tuple[int, list[int]]]], result: EmbeddingBatch
    ) -> None:
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
        done = self._pool.map(lambda pack: _encode_pack(free, pack), ordered)
        for pack, rows in zip(ordered, done, strict=True):
            for (number, _tokens), row in zip(pack, rows, strict=True):
                self._store(number, row, result)

    def _store(self, number: int, row: NDArray[np.float32] | None, result: EmbeddingBatch) -> None:
        usable = None if row is None else to_usable_vector(row, normalise=self._spec.normalise)
        if usable is None:
            result.errors[number] = NO_NUMBERS
        else:
            result.vectors[number] = usable


def _tokens_in(pack: Sequence[tuple[int, list[int]]]) -> int:
    return sum(len(tokens) for _, tokens in pack)


def _encode_pack(
    free: SimpleQueue[NativeContext], pack: Sequence[tuple[int, list[int]]]
) -> list[NDArray[np.float32] | None]:
    context = free.get()
    try:
        # Vectors of the texts before must not take part in attention.
        context.clear()
        code = context.encode([tokens for _, tokens in pack])
        if code:
            raise EngineError(f"llama.cpp could not embed these texts (code {code}).")
        return [context.vector(number) for number in range(len(pack))]
    finally:
        free.put(context)


def _check(model: LoadedModel, spec: EmbeddingSpec) -> None:
    if spec.pooling not in POOLINGS:
        raise EngineError(
            f"Pooling {spec.pooling!r} is not known; use one of {', '.join(sorted(POOLINGS))}."
        )
    if spec.dimension != model.dimension:
        raise EngineError(
            f"The model's vectors have {model.dimension} numbers, but its catalog entry says "
            f"{spec.dimension}; correct the entry."
        )
    if spec.max_tokens < 1:
        raise EngineError(
            "The longest text to embed must be at least one token; correct the entry."
        )


def _ending_tokens(model: LoadedModel) -> frozenset[int]:
    """Tokens that close a text, which pooling relies on."""
    vocab: Any = model.vocab
    ending = set()
    if api.llama_vocab_get_add_sep(vocab):
        ending.add(int(api.llama_vocab_sep(vocab)))
    if api.llama_vocab_get_add_eos(vocab):
        ending.add(int(api.llama_vocab_eos(vocab)))
    return frozenset(ending)
