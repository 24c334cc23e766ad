"""Which precision of a folder's network is the fastest on this processor; imported in an engine's child only."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.runtimes.openvino.network import FLOAT, Network, usable_precisions
from engines.runtimes.openvino.weights import Weights
from engines.runtimes.vector_rules import to_usable_vector

logger = logging.getLogger("engine")

SAMPLE_COSINE = 0.99993
"""Least cosine of the sample's vectors to those it would replace. It leaves other texts room within 0.9999, by which vectors
of one space may differ."""
MIN_GAIN = 1.2
"""Times as many texts per second of processor time; below, nothing is replaced."""
ROUNDS = 3
SAMPLE_LENGTHS = (4, 9, 17, 40, 90, 179, 180, 181)
"""Tokens of each text of the sample; shorter where the model reads less."""
STRIDE = 7919
"""Between the tokens of a text of the sample; a prime, so that they are many."""


def make_fastest(
    weights: Weights, pooling: str, *, precision: str, limit: int, threads: int
) -> tuple[Network, str]:
    """Return a compiled network and its precision: the one given, or the fastest of those that agree.

    Both are timed by processor time, which other work on the machine hardly changes. EngineError.
    """
    usable = usable_precisions()
    exact = Network(weights, FLOAT, pooling, threads=threads)
    sample = _sample(weights.shape.vocabulary, limit)
    for other in usable:
        if other == FLOAT or precision == FLOAT:
            continue
        network = Network(weights, other, pooling, threads=threads)
        if _agrees(network.vectors(sample), exact.vectors(sample)) and (
            precision or _gain(exact, network, sample) >= MIN_GAIN
        ):
            return network, other
    return exact, FLOAT


def _sample(vocabulary: int, limit: int) -> list[list[int]]:
    # Of any tokens: a network is compared with itself.
    return [
        [(length + STRIDE * place) % vocabulary for place in range(min(length, limit))]
        for length in SAMPLE_LENGTHS
    ]


def _agrees(found: NDArray[np.float32], exact: NDArray[np.float32]) -> bool:
    pairs = zip(_unit(found), _unit(exact), strict=True)
    cosines = [0.0 if one is None or two is None else float(one @ two) for one, two in pairs]
    if min(cosines) < SAMPLE_COSINE:
        logger.warning("float32 it is: the other vectors are within %.5f of its", min(cosines))
        return False
    return True


def _unit(rows: NDArray[np.float32]) -> list[NDArray[np.float32] | None]:
    return [to_usable_vector(row, normalise=True) for row in rows]


def _gain(exact: Network, other: Network, sample: Sequence[Sequence[int]]) -> float:
    """How many times as fast the other one is."""
    seconds: dict[Network, float] = {}
    for _ in range(ROUNDS):
        for network in (exact, other):
            begun = time.process_time()
            network.vectors(sample)
            spent = time.process_time() - begun
            seconds[network] = min(spent, seconds.get(network, spent))
    return seconds[exact] / max(seconds[other], 1e-6)
