"""Embedding and ranking in an engine's child: texts in, unit vectors out, or a score for each pair.

A rank model reads a question and a text together and is computed as an embedder is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from copy import copy
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as api
from numpy.typing import NDArray

from engines.exceptions import EngineError, InvalidRequestError
from engines.fit.embedding import plan_contexts
from engines.runtimes.base import EmbeddingBatch, Ranking
from engines.runtimes.llama_cpp.batch import Part
from engines.runtimes.llama_cpp.embedding.token_embedder import NumberedTokens, TokenEmbedder
from engines.runtimes.llama_cpp.native import ContextShape, LoadedModel, NativeContext
from engines.runtimes.vector_rules import NO_NUMBERS
from engines.specs import EmbeddingSpec

PACKS_AHEAD = 2
"""Packs that are handed out for each lane, so that none waits for the next."""
QUESTION_SHARE = 0.5
"""Of what the model reads, that a question may take; the text needs the rest."""
NO_ROOM = "The question is longer than the model can read beside a text; shorten it."

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
        self._share_threads(lanes)
        for context in self._contexts[:lanes]:
            free.put(context)
        encode = self._encode_by_pieces if self.layout.by_pieces else self._encode
        under_way: deque[tuple[Pack, Future[list[Row]]]] = deque()

        def finish(until: int) -> None:
            while len(under_way) > until:
                pack, rows = under_way.popleft()
                for (number, _tokens), row in zip(pack, rows.result(), strict=True):
                    self.store(number, row, result)

        try:
            # Longest first: the short ones at the end let all lanes finish at about the same time.
            for pack in sorted(packs, key=_tokens_in, reverse=True):
                if self.has_to_give_way():
                    finish(until=0)
                    self._give_way(lanes)
                finish(until=PACKS_AHEAD * lanes - 1)
                under_way.append((pack, self._pool.submit(_with_free, free, pack, encode)))
            finish(until=0)
        finally:
            # After an error too nobody else may find a context in use.
            wait(rows for _, rows in under_way)

    def _give_way(self, lanes: int) -> None:
        """Let others embed, who may use the contexts in another way."""
        if self.turns is not None:
            self.turns.give_way()
        self._share_threads(lanes)

    def _share_threads(self, lanes: int) -> None:
        for context in self._contexts[:lanes]:
            context.use_threads(max(1, self.layout.threads // lanes))

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

    def _encode(self, context: NativeContext, pack: Pack) -> list[Row]:
        context.encode([tokens for _, tokens in pack])
        return [context.vector(number) for number in range(len(pack))]

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


class Ranker(Embedder):
    """Reads question and text together; called from one thread, as an embedder is."""

    def __init__(self, model: LoadedModel, spec: EmbeddingSpec, layout: EmbedLayout) -> None:
        """Raise EngineError for a model without a head that judges."""
        self._labels = int(api.llama_model_n_cls_out(model.handle))
        if self._labels < 1:
            raise EngineError("The model judges no pairs of texts; choose a rank model.")
        self._marks = _PairMarks(model)
        super().__init__(model, spec, layout)

    def embed(self, texts: Sequence[str], *, query: bool) -> EmbeddingBatch:
        """Refuse: its one number is no vector of a text."""
        raise EngineError(
            f"A rank model ranks and gives no vectors; embed {'questions' if query else 'texts'} "
            f"({len(texts)}) with an embedder."
        )

    def rank(self, question: str, texts: Sequence[str]) -> Ranking:
        """Return a score from 0 to 1 for each text; one that does not fit is judged by its beginning.

        InvalidRequestError for a question that leaves no room, or a text that cannot be read.
        """
        asked = self._marks.plain(question)
        if len(asked) > self.limit * QUESTION_SHARE:
            raise InvalidRequestError(NO_ROOM)
        pairs = [self._marks.pair(asked, self._marks.plain(text), self.limit) for text in texts]
        result = EmbeddingBatch(np.full((len(texts), 1), np.nan, np.float32))
        work = [(number, tokens) for number, (tokens, _) in enumerate(pairs)]
        self.compute(work, result)
        if result.errors:
            raise EngineError(next(iter(result.errors.values())))
        return Ranking(
            scores=result.vectors[:, 0],
            tokens=sum(len(tokens) for tokens, _ in pairs),
            cut=frozenset(number for number, (_, is_cut) in enumerate(pairs) if is_cut),
        )

    def _encode(self, context: NativeContext, pack: Pack) -> list[Row]:
        context.encode([tokens for _, tokens in pack])
        return [context.vector(number, self._labels) for number in range(len(pack))]

    def store(self, number: int, row: NDArray[np.float32] | None, result: EmbeddingBatch) -> None:
        if row is None or not np.isfinite(row).all():
            result.errors[number] = NO_NUMBERS
            return
        # A model with several labels says probabilities, of which "it answers" is the first; one with a
        # single label says what makes one of it.
        value = float(row[0])
        result.vectors[number] = (
            value if self._labels > 1 else 1 / (1 + math.exp(-max(value, -500)))
        )


class _PairMarks:
    """How a model wants a question and a text: by its own template, else by the tokens between them."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        template: bytes | None = api.llama_model_chat_template(model.handle, b"rerank")
        if template is None:
            self._before, self._between, self._after = _tokens_around(model.vocab)
            return
        text = template.decode("utf-8", "replace")
        before, found, rest = text.partition("{query}")
        between, followed, after = rest.partition("{document}")
        if not found or not followed:
            raise EngineError(
                "The model's template for ranking does not name {query} and then {document}; choose another "
                "rank model."
            )
        self._before, self._between, self._after = map(self._with_marks, (before, between, after))

    def plain(self, text: str) -> list[int]:
        """Read what people wrote: nothing of it is a control token."""
        return self._model.tokenize(text, add_special=False, parse_special=False)

    def _with_marks(self, text: str) -> list[int]:
        return self._model.tokenize(text, add_special=False, parse_special=True)

    def pair(self, asked: list[int], text: list[int], limit: int) -> tuple[list[int], bool]:
        """Return the tokens of both, and whether the text was cut to fit."""
        around = len(self._before) + len(asked) + len(self._between) + len(self._after)
        room = max(limit - around, 0)
        tokens = [*self._before, *asked, *self._between, *text[:room], *self._after]
        return tokens[:limit], len(text) > room


def _tokens_around(vocab: Any) -> tuple[list[int], list[int], list[int]]:
    """Return what stands before, between and after a pair: as llama-server writes it, and closed.

    A model without an end token (BERT) was trained with a separator there, which llama-server leaves out.
    """
    end = int(api.llama_vocab_eos(vocab))
    separator = int(api.llama_vocab_sep(vocab))
    end = separator if end < 0 else end
    begin = [int(api.llama_vocab_bos(vocab))] if api.llama_vocab_get_add_bos(vocab) else []
    ending = [end] if api.llama_vocab_get_add_eos(vocab) else []
    parting = [separator] if api.llama_vocab_get_add_sep(vocab) else []
    return begin, [*ending, *parting], ending or parting


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
