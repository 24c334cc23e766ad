"""Embedding with OpenVINO in llama.cpp's place; imported in an engine's child only, and at need.

llama.cpp keeps the tokenizer, and its contexts stay for what OpenVINO cannot do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import EngineError, SamError
from engines.runtimes.base import EmbeddingBatch
from engines.runtimes.child.messages import TrialSummary
from engines.runtimes.llama_cpp.embedding.autotune import cosines_of, sample_texts
from engines.runtimes.llama_cpp.embedding.embedder import Embedder
from engines.runtimes.llama_cpp.embedding.token_embedder import NumberedTokens, TokenEmbedder
from engines.runtimes.llama_cpp.native import LoadedModel
from engines.runtimes.openvino.network import Network, usable_precisions
from engines.runtimes.openvino.precision import MIN_GAIN, SAMPLE_COSINE
from engines.runtimes.openvino.weights import GgufWeights
from engines.specs import EmbeddingSpec

logger = logging.getLogger("engine")

ROUNDS = 3
MAX_ROUND_SECONDS = 3.0
"""Of processor time; after a longer one no further round begins."""
FEW_THREADS = 8
"""A text alone is computed by one thread; where there are more than these, llama.cpp's many are faster."""
CHECKED_SHORT, CHECKED_LONG = 6, 2
TIMED_SHORT, TIMED_LONG = 4, 8


class OpenVinoEmbedder(TokenEmbedder):
    """Reads texts as llama.cpp's embedder does, and has a compiled network compute them."""

    def __init__(
        self, model: LoadedModel, spec: EmbeddingSpec, network: Network, spare: Embedder
    ) -> None:
        super().__init__(model, spec)
        self._network = network
        self._spare = spare

    def compute(self, work: Sequence[NumberedTokens], result: EmbeddingBatch) -> None:
        if len(work) == 1 and self._spare.layout.threads > FEW_THREADS:
            self._spare.compute(work, result)
            return
        try:
            rows = self._network.vectors([tokens for _, tokens in work], self._others)
        except EngineError as error:
            # The same space, so that nobody needs to know who computed which text.
            logger.warning("llama.cpp embeds %d texts instead: %s", len(work), error)
            self._spare.compute(work, result)
            return
        for (number, _), row in zip(work, rows, strict=True):
            self.store(number, row, result)

    def _others(self) -> Callable[[], None] | None:
        return self.turns.give_way if self.turns is not None and self.has_to_give_way() else None


@dataclass(frozen=True, slots=True)
class OpenVinoMaker:
    """Makes embedders of one model that stand in for ``spare``."""

    path: Path
    model: LoadedModel
    spec: EmbeddingSpec
    spare: Embedder

    def make(self, precision: str) -> OpenVinoEmbedder:
        """Compile and compare; raises InvalidRequestError or EngineError with why llama.cpp stays."""
        if precision not in usable_precisions():
            raise EngineError(f"This processor has no instructions for {precision}.")
        threads = self.spare.layout.threads
        network = Network(GgufWeights(self.path), precision, self.spec.pooling, threads=threads)
        found = OpenVinoEmbedder(self.model, self.spec, network, self.spare)
        short, long = sample_texts(1)
        texts = [*short[:CHECKED_SHORT], *long[:CHECKED_LONG]]
        least = _least_cosine(_vectors(found, texts), _vectors(self.spare, texts))
        if not least >= SAMPLE_COSINE:
            raise EngineError(
                f"OpenVINO's vectors in {precision} are within {least:.5f} of llama.cpp's, and "
                f"{SAMPLE_COSINE} is needed to share their space."
            )
        return found


@dataclass(eq=False)
class _Racer:
    precision: str
    embedder: TokenEmbedder
    seconds: list[float] = field(default_factory=list)

    def run(self, texts: Sequence[str]) -> None:
        """Note the processor time of one pass: other work on the cores hardly changes that."""
        begun = time.process_time()
        _vectors(self.embedder, texts)
        self.seconds.append(time.process_time() - begun)


@dataclass(frozen=True, slots=True)
class PrecisionResult:
    """The precision that is clearly faster than llama.cpp, or empty."""

    precision: str
    trials: list[TrialSummary]


def find_fastest_precision(maker: OpenVinoMaker, precisions: Sequence[str]) -> PrecisionResult:
    """Time OpenVINO against llama.cpp in turns, by processor time."""
    spare = _Racer("", maker.spare)
    racers = [spare, *_made(maker, precisions)]
    short, long = sample_texts(1)
    texts = [*short[:TIMED_SHORT], *long[:TIMED_LONG]]
    for _ in range(ROUNDS if len(racers) > 1 else 0):
        for racer in racers:
            racer.run(texts)
        if spare.seconds[-1] > MAX_ROUND_SECONDS:
            break
    gains = {
        racer.precision: min(spare.seconds) / max(min(racer.seconds), 1e-6)
        for racer in racers
        if racer.seconds
    }
    best = max(gains, key=lambda each: gains[each], default="")
    won = best if gains.get(best, 0.0) >= MIN_GAIN else ""
    return PrecisionResult(won, [_summary(each, gain) for each, gain in gains.items()])


def _made(maker: OpenVinoMaker, precisions: Sequence[str]) -> list[_Racer]:
    racers = []
    for precision in precisions:
        try:
            racers.append(_Racer(precision, maker.make(precision)))
        except SamError as error:
            logger.info("not tried: %s", error)
    return racers


def _summary(precision: str, gain: float) -> TrialSummary:
    return {"lanes": 0, "pack_tokens": 0, "openvino": precision, "gain": round(gain, 3)}


def _vectors(embedder: TokenEmbedder, texts: Sequence[str]) -> NDArray[np.float32]:
    return embedder.embed(texts, query=False).vectors


def _least_cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """NaN where one has no vector: then they do not agree."""
    return float(cosines_of(left, right).min())
