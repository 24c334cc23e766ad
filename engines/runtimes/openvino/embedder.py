"""Embedding a folder's model: texts in, unit vectors out; imported in an engine's child only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.openvino.network import Network
from engines.runtimes.openvino.tokenizer import TextTokenizer
from engines.runtimes.reading import Frame, TokenReading, frame_of, join_windows
from engines.runtimes.turns import Turns
from engines.runtimes.vector_rules import EMPTY, NO_NUMBERS, NO_TOKENS, to_usable_vector
from engines.specs import EmbeddingSpec


class FolderEmbedder:
    """Reads texts in windows as long as the model reads, and has a network compute them."""

    def __init__(
        self,
        network: Network,
        tokenizer: TextTokenizer,
        spec: EmbeddingSpec,
        *,
        limit: int,
        turns: Turns,
    ) -> None:
        self.limit = min(spec.max_tokens, limit)
        self._network = network
        self._tokenizer = tokenizer
        self._spec = spec
        self._turns = turns
        self._unknown = tokenizer.unknown
        self._frames = {
            True: self._frame(spec.query_prefix),
            False: self._frame(spec.document_prefix),
        }

    def embed(self, texts: Sequence[str], *, query: bool) -> EmbeddingBatch:
        """Vectors (n, d) of ``texts`` with the prefix of a query or a document."""
        prefix = self._spec.query_prefix if query else self._spec.document_prefix
        vectors = np.full((len(texts), self._network.width), np.nan, np.float32)
        result = EmbeddingBatch(vectors)
        windows: list[list[int]] = []
        owners: list[int] = []
        cut: set[int] = set()
        for number, text in enumerate(texts):
            tokens = self._read(prefix, text)
            if not tokens:
                result.errors[number] = NO_TOKENS if text.strip() else EMPTY
                continue
            if len(tokens) > self.limit:
                cut.add(number)
            parts = self._frames[query].split(tokens, self.limit)
            windows += parts
            owners += [number] * len(parts)
        self._join(windows, owners, self._network.vectors(windows, self._others), result)
        return replace(result, cut=frozenset(cut))

    def read(self, texts: Sequence[str]) -> list[TokenReading]:
        """Return what the tokenizer makes of each text as a document."""
        prefix, frame = self._spec.document_prefix, self._frames[False]
        return [frame.read(self._read(prefix, text), self._unknown, self.limit) for text in texts]

    def _frame(self, prefix: str) -> Frame:
        empty = self._tokenizer.read("")
        # Whatever opens a text, its last token closes it.
        return frame_of(empty, self._tokenizer.read(prefix) if prefix else [], empty[1:])

    def _read(self, prefix: str, text: str) -> list[int]:
        return self._tokenizer.read(prefix + text) if text.strip() else []

    def _join(
        self,
        windows: Sequence[Sequence[int]],
        owners: Sequence[int],
        rows: NDArray[np.float32],
        result: EmbeddingBatch,
    ) -> None:
        """Give each text the vector of its windows."""
        normalise = self._spec.normalise
        found: dict[int, list[tuple[NDArray[np.float32] | None, int]]] = {}
        for owner, tokens, row in zip(owners, windows, rows, strict=True):
            usable = to_usable_vector(row, normalise=normalise)
            found.setdefault(owner, []).append((usable, len(tokens)))
        for number, parts in found.items():
            whole = join_windows(parts, normalise=normalise)
            if whole is None:
                result.errors[number] = NO_NUMBERS
            else:
                result.vectors[number] = whole

    def _others(self) -> Callable[[], None] | None:
        return self._turns.give_way if self._turns.is_asked_for else None
