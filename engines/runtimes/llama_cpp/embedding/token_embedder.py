"""Texts as the tokens that a model embeds, and its rows as usable vectors, whoever computes between."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as api
from numpy.typing import NDArray

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.llama_cpp.native import POOLINGS, LoadedModel
from engines.runtimes.reading import Frame, TokenReading, frame_of, join_windows
from engines.runtimes.turns import Turns
from engines.runtimes.vector_rules import EMPTY, NO_NUMBERS, NO_TOKENS, to_usable_vector
from engines.specs import RANK_POOLING, EmbeddingSpec

NumberedTokens = tuple[int, list[int]]
"""A text's number in its list, and its tokens."""


@dataclass(frozen=True, slots=True)
class Windows:
    """What of a list of texts is to be computed."""

    work: list[NumberedTokens] = field(default_factory=list)
    """The windows, numbered from 0."""
    owners: list[int] = field(default_factory=list)
    """The text of each."""
    errors: dict[int, str] = field(default_factory=dict)
    """Why a text has none."""
    cut: set[int] = field(default_factory=set)
    """Texts that are longer than the model reads."""


class WindowReader:
    """Reads texts with a model's tokenizer, in windows as long as the model reads."""

    def __init__(self, model: LoadedModel, spec: EmbeddingSpec) -> None:
        """Raises EngineError where model and catalog contradict each other."""
        _check(model, spec)
        self._model = model
        self._spec = spec
        self.limit = min(spec.max_tokens, model.context_limit)
        self._ending = _ending_tokens(model)
        self._unknown = model.unknown_tokens()
        self._frames = {
            True: self._frame(spec.query_prefix),
            False: self._frame(spec.document_prefix),
        }

    def read(self, texts: Sequence[str]) -> list[TokenReading]:
        """Return what the tokenizer makes of each text as a document; a text it cannot bear has no token."""
        frame, readings = self._frames[False], []
        for text in texts:
            try:
                tokens = self._read(self._spec.document_prefix + text) if text.strip() else []
            except InvalidRequestError:
                tokens = []
            readings.append(frame.read(tokens, self._unknown, self.limit))
        return readings

    def _frame(self, prefix: str) -> Frame:
        return frame_of(self._read(""), self._read(prefix) if prefix else [], self._ending)

    def _read(self, text: str) -> list[int]:
        return self._model.tokenize(text, add_special=True, parse_special=False)

    def split(self, texts: Sequence[str], *, query: bool) -> Windows:
        """Return the tokens of ``texts`` with the prefix of a query or a document."""
        prefix = self._spec.query_prefix if query else self._spec.document_prefix
        found = Windows()
        for number, text in enumerate(texts):
            try:
                tokens = self._read(prefix + text) if text.strip() else []
            except InvalidRequestError as error:
                found.errors[number] = str(error)
                continue
            if len(tokens) > self.limit:
                found.cut.add(number)
            if not tokens:
                found.errors[number] = NO_TOKENS if text.strip() else EMPTY
                continue
            for window in self._frames[query].split(tokens, self.limit):
                found.work.append((len(found.owners), window))
                found.owners.append(number)
        return found


class TokenEmbedder(WindowReader, abc.ABC):
    """An embedder of a loaded model; a subclass computes."""

    turns: Turns | None = None
    """To whom many texts give way between packs, if there is anybody else."""

    @abc.abstractmethod
    def compute(self, work: Sequence[NumberedTokens], result: EmbeddingBatch) -> None:
        """Store the vector of each text, or window of one, in ``result``, or a sentence why it has none."""

    def embed(self, texts: Sequence[str], *, query: bool) -> EmbeddingBatch:
        """Vectors (n, d) of ``texts`` with the prefix of a query or a document."""
        found = self.split(texts, query=query)
        work, width = found.work, self._model.dimension
        result = EmbeddingBatch(np.full((len(texts), width), np.nan, np.float32), found.errors)
        parts = EmbeddingBatch(np.full((len(work), width), np.nan, np.float32))
        self.compute(work, parts)
        self._join(work, found.owners, parts, result)
        return replace(result, cut=frozenset(found.cut))

    def _join(
        self,
        work: Sequence[NumberedTokens],
        owners: Sequence[int],
        parts: EmbeddingBatch,
        result: EmbeddingBatch,
    ) -> None:
        """Give each text the vector of its windows."""
        found: dict[int, list[tuple[NDArray[np.float32] | None, int]]] = {}
        for owner, (part, tokens) in zip(owners, work, strict=True):
            row = None if part in parts.errors else parts.vectors[part]
            found.setdefault(owner, []).append((row, len(tokens)))
        for number, windows in found.items():
            whole = join_windows(windows, normalise=self._spec.normalise)
            if whole is None:
                result.errors[number] = NO_NUMBERS
            else:
                result.vectors[number] = whole

    def has_to_give_way(self) -> bool:
        """Whether others wait who have few texts; they are served by ``turns.give_way``."""
        return self.turns is not None and self.turns.is_asked_for

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
