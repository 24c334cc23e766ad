"""Embedding with transformers: texts in, unit vectors out; imported in an engine's child only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.exceptions import EngineError
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.hugging_face.loading import Checkpoint
from engines.runtimes.hugging_face.parameters import BATCH_TOKENS
from engines.runtimes.reading import Frame, TokenReading, frame_of, join_windows
from engines.runtimes.vector_rules import EMPTY, NO_NUMBERS, NO_TOKENS, to_usable_vector
from engines.specs import EmbeddingSpec

_Part = tuple[NDArray[np.float32] | None, int]
POOLINGS = ("mean", "cls", "last")
BATCH_TEXTS = 32


class Embedder:
    """Pools a model's last hidden states.

    Texts of similar length are computed together, longest first; padding is masked.
    """

    def __init__(self, model: Checkpoint, spec: EmbeddingSpec) -> None:
        pooling = "mean" if spec.pooling == "model" else spec.pooling
        if pooling not in POOLINGS:
            raise EngineError(
                f"Pooling {spec.pooling!r} is not known; use one of {', '.join(POOLINGS)}."
            )
        if spec.dimension != model.dimension:
            raise EngineError(
                f"The model's vectors have {model.dimension} numbers, but its catalog entry says "
                f"{spec.dimension}; correct the entry."
            )
        self._model = model
        self._spec = spec
        self._pooling = pooling
        self.dimension = model.dimension
        self.limit = min(spec.max_tokens, model.context_limit or spec.max_tokens)
        unknown = model.tokenizer.unk_token_id
        self._unknown = frozenset(() if unknown is None else (int(unknown),))
        self._frames = {
            True: self._frame(spec.query_prefix),
            False: self._frame(spec.document_prefix),
        }

    def embed(self, texts: Sequence[str], *, query: bool) -> EmbeddingBatch:
        """Vectors (n, d) of ``texts`` with the prefix of a query or a document."""
        prefix = self._spec.query_prefix if query else self._spec.document_prefix
        result = EmbeddingBatch(np.full((len(texts), self._model.dimension), np.nan, np.float32))
        work: list[tuple[int, list[int]]] = []
        cut: set[int] = set()
        for number, text in enumerate(texts):
            tokens = self._tokens(prefix + text) if text.strip() else []
            if not tokens:
                result.errors[number] = NO_TOKENS if text.strip() else EMPTY
            if len(tokens) > self.limit:
                cut.add(number)
            if tokens:
                windows = self._frames[query].split(tokens, self.limit)
                work += [(number, window) for window in windows]
        parts: dict[int, list[_Part]] = {}
        for batch in _batches(work):
            self._add_parts(batch, parts)
        for number, found in parts.items():
            self._store(number, found, result)
        return replace(result, cut=frozenset(cut))

    def read(self, texts: Sequence[str]) -> list[TokenReading]:
        """Return what the tokenizer makes of each text as a document."""
        prefix, frame = self._spec.document_prefix, self._frames[False]
        return [
            frame.read(
                self._tokens(prefix + text) if text.strip() else [], self._unknown, self.limit
            )
            for text in texts
        ]

    def _frame(self, prefix: str) -> Frame:
        tokenizer = self._model.tokenizer
        ending = {tokenizer.sep_token_id, tokenizer.eos_token_id} - {None}
        return frame_of(self._tokens(""), self._tokens(prefix) if prefix else [], ending)

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._model.tokenizer(text, truncation=False)["input_ids"]
        return tokens

    def _add_parts(
        self, batch: Sequence[tuple[int, list[int]]], parts: dict[int, list[_Part]]
    ) -> None:
        rows = self._compute([tokens for _, tokens in batch])
        for (number, tokens), row in zip(batch, rows, strict=True):
            usable = to_usable_vector(row, normalise=self._spec.normalise)
            parts.setdefault(number, []).append((usable, len(tokens)))

    def _store(self, number: int, found: Sequence[_Part], result: EmbeddingBatch) -> None:
        whole = join_windows(found, normalise=self._spec.normalise)
        if whole is None:
            result.errors[number] = NO_NUMBERS
        else:
            result.vectors[number] = whole

    def _compute(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        longest = max(map(len, batch))
        ids = torch.zeros((len(batch), longest), dtype=torch.long)
        mask = torch.zeros((len(batch), longest), dtype=torch.long)
        for number, tokens in enumerate(batch):
            ids[number, : len(tokens)] = torch.tensor(tokens)
            mask[number, : len(tokens)] = 1
        model = self._model.model.base_model
        ids, mask = ids.to(model.device), mask.to(model.device)
        with torch.inference_mode():
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            rows: NDArray[np.float32] = self._pool(states.float(), mask).cpu().numpy()
        return rows

    def _pool(self, states: Any, mask: Any) -> Any:
        if self._pooling == "cls":
            return states[:, 0]
        if self._pooling == "last":
            # Padding stands behind the text, so the last token is found by its length.
            return states[torch.arange(len(states)), mask.sum(1) - 1]
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)


def _batches(work: Sequence[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
    batch: list[tuple[int, list[int]]] = []
    # Sorted, so that a batch is padded little; longest first, so that memory runs out at once or never.
    for item in sorted(work, key=lambda item: len(item[1]), reverse=True):
        longest = len(batch[0][1]) if batch else 0
        if batch and (len(batch) == BATCH_TEXTS or longest * (len(batch) + 1) > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
