"""A compiled network that embeds many token lists; imported in an engine's child only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.openvino.bert import BATCH_TOKENS, POOLINGS
from engines.runtimes.openvino.graph import build_graph
from engines.runtimes.openvino.weights import Weights

GiveWay = Callable[[], Callable[[], None] | None]
DEVICE = "CPU"
LIKE_LENGTHS = 0.9
"""A shorter text does not fill up a batch with places that hold no token."""
SHAPES_KEPT = 16
"""Of how many shapes of texts OpenVINO keeps what it prepared; by itself it keeps 5,000, and takes all memory there is."""
LEAST_TOKENS = 128
"""Of a batch that is left as it is for that; below, the products are too small for the processor."""
MAX_STREAMS = 64
FLOAT, BFLOAT = "f32", "bf16"


def usable_precisions() -> list[str]:
    """Precisions that this processor has instructions for."""
    abilities = ov.Core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    return [FLOAT, *([BFLOAT] if "BF16" in abilities else [])]


class Network:
    """One model, compiled for this processor; called from one thread.

    What is computed together is decided from the list alone, so the same list always gives the same
    vectors.
    """

    def __init__(self, weights: Weights, precision: str, pooling: str, *, threads: int) -> None:
        """Raises InvalidRequestError for a pooling that is left to llama.cpp, EngineError."""
        shape = weights.shape
        pooled = shape.pooling if pooling == "model" else pooling
        if pooled not in POOLINGS:
            raise InvalidRequestError(f"OpenVINO does not pool by {pooled!r}.")
        self.width = shape.width
        self._vocabulary = shape.vocabulary
        streams = max(1, min(threads, MAX_STREAMS))
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": streams,
            "CPU_RUNTIME_CACHE_CAPACITY": SHAPES_KEPT,
            "INFERENCE_NUM_THREADS": streams,
            # Other engines and the database have cores to run on as well.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            model = build_graph(weights, pooled)
            self._requests = ov.AsyncInferQueue(
                ov.Core().compile_model(model, DEVICE, options), streams
            )
        except (RuntimeError, MemoryError) as error:
            raise EngineError(f"OpenVINO cannot compile this model: {error}") from error
        self._rows: NDArray[np.float32] = np.empty((0, self.width), np.float32)
        self._requests.set_callback(self._keep)

    def vectors(
        self, texts: Sequence[Sequence[int]], give_way: GiveWay = lambda: None
    ) -> NDArray[np.float32]:
        """Return one vector a token list, (n, d) float32, of any length; EngineError.

        Between batches ``give_way`` is asked for what others want done first, which may use this network.
        """
        # OpenVINO would read beside the table.
        if any(
            not 0 <= token < self._vocabulary for text in texts for token in (min(text), max(text))
        ):
            raise EngineError("The tokenizer found a token that the model does not have.")
        rows = self._rows = np.empty((len(texts), self.width), np.float32)
        try:
            for numbers in list_batches([len(text) for text in texts]):
                if others := give_way():
                    self._requests.wait_all()
                    others()
                    self._rows = rows
                self._requests.start_async(_inputs([texts[each] for each in numbers]), numbers)
            self._requests.wait_all()
        except (RuntimeError, MemoryError) as error:
            raise EngineError(f"OpenVINO could not embed these texts: {error}") from error
        return rows

    def _keep(self, request: Any, numbers: list[int]) -> None:
        self._rows[numbers] = request.get_output_tensor().data


def list_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of the texts that are computed together: neighbours in length, longest first.

    The long ones first, so that all streams finish at about the same time.
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if batch:
            longest, places = lengths[batch[0]], len(batch) * lengths[batch[0]]
            is_shorter = lengths[number] < LIKE_LENGTHS * longest
            if places + longest > BATCH_TOKENS or (is_shorter and places >= LEAST_TOKENS):
                yield batch
                batch = []
        batch.append(number)
    if batch:
        yield batch


def _inputs(texts: Sequence[Sequence[int]]) -> dict[int, NDArray[Any]]:
    """Tokens and mask of a batch; the first text is its longest."""
    tokens = np.zeros((len(texts), len(texts[0])), np.int32)
    mask = np.zeros(tokens.shape, np.float32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return {0: tokens, 1: mask}
