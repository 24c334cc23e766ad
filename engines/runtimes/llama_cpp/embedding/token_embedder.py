"""Texts as the tokens that a model embeds, and its rows as usable vectors, whoever computes between."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as api
from numpy.typing import NDArray

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.llama_cpp.native import POOLINGS, LoadedModel
from engines.runtimes.vector_rules import EMPTY, NO_NUMBERS, NO_TOKENS, to_usable_vector
from engines.specs import RANK_POOLING, EmbeddingSpec

NumberedTokens = tuple[int, list[int]]
"""A text's number in its list, and its tokens."""


class TokenEmbedder(abc.ABC):
    """Reads texts with the tokenizer of a loaded model; a subclass computes."""

    def __init__(self, model: LoadedModel, spec: EmbeddingSpec) -> None:
        """Raises EngineError where model and catalog contradict each other."""
        _check(model, spec)
        self._model = model
        self._spec = spec
        self.limit = min(spec.max_tokens, model.context_limit)
        self._ending = _ending_tokens(model)

    @abc.abstractmethod
    def compute(self, work: Sequence[NumberedTokens], result: EmbeddingBatch) -> None:
        """Store each text's vector in ``result``, or a sentence why it has none."""

    def tokens(self, text: str) -> list[int]:
        """Tokens as the model gets them: cut to its limit, the closing token kept."""
        return self._fit(self._read(text))

    def _read(self, text: str) -> list[int]:
        return self._model.tokenize(text, add_special=True, parse_special=False)

    def _fit(self, tokens: list[int]) -> list[int]:
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
        work: list[NumberedTokens] = []
        cut: set[int] = set()
        for number, text in enumerate(texts):
            try:
                tokens = self._read(prefix + text) if text.strip() else []
            except InvalidRequestError as error:
                result.errors[number] = str(error)
                continue
            if len(tokens) > self.limit:
                cut.add(number)
            if tokens:
                work.append((number, self._fit(tokens)))
            else:
                result.errors[number] = NO_TOKENS if text.strip() else EMPTY
        self.compute(work, result)
        return replace(result, cut=frozenset(cut))

    def store(self, number: int, row: NDArray[np.float32] | None, result: EmbeddingBatch) -> None:
        """Write a text's vector, or why it has none."""
        usable = None if row is None else to_usable_vector(row, normalise=self._spec.normalise)
        if usable is None:
            result.errors[number] = NO_NUMBERS
        else:
            result.vectors[number] = usable


def _check(model: LoadedModel, spec: EmbeddingSpec) -> None:
    known = sorted(POOLINGS.keys() - {"none"})
    if spec.pooling not in known:
        raise EngineError(f"Pooling {spec.pooling!r} is not known; use one of {', '.join(known)}.")
    if spec.pooling != RANK_POOLING and spec.dimension != model.dimension:
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
