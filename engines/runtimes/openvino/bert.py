"""Which GGUF files are of BERT's family, and the shape that all their tensors must have.

MiniLM, BGE, E5, GTE, Arctic and the multilingual ones on XLM-R (their converter writes them as BERT).
Source: llama.cpp, ``src/models/bert.cpp``. Nothing is allocated before all of this has been checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn, Self

from engines.exceptions import InvalidRequestError
from engines.gguf.header import GgufHeader, shown
from engines.gguf.parts import COUNT_KEY
from engines.gguf.tensors import PLAIN_KINDS

ARCHITECTURE = "bert"
POOLINGS = frozenset({"mean", "cls"})
MAX_LAYERS = 128
MAX_EPSILON = 1e-2
_FLOAT = 4
COPIES = 3
"""Of all weights as float32 while a network is compiled: read, as a constant, and packed."""
WORK_BYTES = 256 * 1024**2
"""Code, what is generated, and what texts are computed in."""


@dataclass(frozen=True, slots=True)
class BertShape:
    """The numbers that decide the network."""

    layers: int
    heads: int
    width: int
    feed_forward: int
    vocabulary: int
    positions: int
    epsilon: float
    pooling: str
    """As the file says it; empty where it does not."""
    elements: int
    """Numbers in all tensors."""

    @classmethod
    def from_header(cls, header: GgufHeader) -> Self:
        """Raises InvalidRequestError with the reason why this file is left to llama.cpp."""
        if header.architecture != ARCHITECTURE or header.is_adapter:
            _leave(f"its architecture is {shown(header.architecture)}")
        if header.number(COUNT_KEY, 1) > 1:
            _leave("it is in parts")
        if header.metadata.get("bert.attention.causal") is True:
            _leave("its tokens see only what is before them")
        facts = header.facts()
        shape = cls(
            layers=facts.block_count,
            heads=facts.head_count,
            width=facts.embedding_length,
            feed_forward=header.number("bert.feed_forward_length"),
            vocabulary=facts.vocab_size,
            positions=facts.context_length,
            epsilon=_epsilon(header),
            pooling=facts.pooling,
            elements=sum(math.prod(tensor.shape) for tensor in header.tensors),
        )
        shape._check_numbers()
        shape._check_tensors(header)
        return shape

    @property
    def memory_bytes(self) -> int:
        """Private memory that the network takes at most, beside what llama.cpp takes."""
        return COPIES * _FLOAT * self.elements + WORK_BYTES

    def _check_numbers(self) -> None:
        sizes = self.feed_forward, self.vocabulary, self.positions
        if not 0 < self.layers <= MAX_LAYERS or min(sizes) < 1:
            _leave("its layers have sizes that no such model has")
        if self.width < 1 or self.heads < 1 or self.width % self.heads:
            _leave("its width cannot be divided among its heads")

    def _check_tensors(self, header: GgufHeader) -> None:
        found = {tensor.name: tensor for tensor in header.tensors}
        wanted = dict(self._tensors())
        # What is there and unknown would be left out of the computation.
        unlike = found.keys() ^ wanted.keys()
        if unlike:
            _leave(f"it has another set of tensors ({shown(min(unlike))})")
        for name, shape in wanted.items():
            tensor = found[name]
            if tensor.kind not in PLAIN_KINDS:
                _leave(f"{name} is quantised")
            if len(tensor.shape) != len(shape) or any(
                want and have != want for have, want in zip(tensor.shape, shape, strict=True)
            ):
                _leave(f"{name} has another shape")

    def _tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every tensor with its shape, the fastest axis first; 0 stands for any size."""
        width = self.width
        yield "token_embd.weight", (width, self.vocabulary)
        yield "token_types.weight", (width, 0)
        yield "position_embd.weight", (width, self.positions)
        yield from _pair("token_embd_norm", (width,), width)
        for layer in range(self.layers):
            at = f"blk.{layer}"
            for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                yield from _pair(f"{at}.{name}", (width, width), width)
            yield from _pair(f"{at}.attn_output_norm", (width,), width)
            yield from _pair(f"{at}.ffn_up", (width, self.feed_forward), self.feed_forward)
            yield from _pair(f"{at}.ffn_down", (self.feed_forward, width), width)
            yield from _pair(f"{at}.layer_output_norm", (width,), width)


def _pair(name: str, weight: tuple[int, ...], bias: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", weight
    yield f"{name}.bias", (bias,)


def _epsilon(header: GgufHeader) -> float:
    value = header.metadata.get("bert.attention.layer_norm_epsilon")
    if not isinstance(value, float) or not 0 < value <= MAX_EPSILON:
        _leave("its norms have no usable epsilon")
    return value


def _leave(why: str) -> NoReturn:
    raise InvalidRequestError(f"OpenVINO does not compute this model: {why}.")
