"""Which models are of BERT's family, and the shape that all their tensors must have, by the names of GGUF.

- ``bert``: MiniLM, BGE, E5, GTE, Arctic and the multilingual ones on XLM-R (their converter writes them as BERT);
- ``nomic-bert``: positions are turned angles instead of a table, the inner layer has a gate, no product adds a bias;
- ``jina-bert-v2``: attention fades with distance, the inner layer has a gate;
- ``gte`` ("NewModel", which GGUF has no name for): positions turn, the inner layer has a gate, products add biases.

Source: llama.cpp, ``src/models/bert.cpp``, ``nomic-bert.cpp`` and ``jina-bert-v2.cpp``; of GTE its publisher's
``modeling.py``. Nothing is allocated before all of this has been checked.
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

BERT, NOMIC, JINA, GTE = "bert", "nomic-bert", "jina-bert-v2", "gte"
ARCHITECTURES = frozenset({BERT, NOMIC, JINA})
"""Those that GGUF files name."""
POOLINGS = frozenset({"mean", "cls"})
MOST_TOKENS = 2048
"""Of a text; longer ones take memory that nobody has counted."""
BATCH_TOKENS = 512
"""Places of a batch, those without a token included. Larger ones gained nothing with MiniLM."""
MAX_LAYERS = 128
MAX_PLACES = 2**17
MAX_EPSILON = 1e-2
MIN_ROPE, MAX_ROPE = 100.0, 1e8
_FLOAT = 4
COPIES = 3
"""Of all weights as float32 while a network is compiled: read, as a constant, and packed."""
WORK_BYTES = 256 * 1024**2
"""Code, what is generated, and what texts are computed in."""


@dataclass(frozen=True, slots=True)
class BertShape:
    """The numbers that decide the network."""

    architecture: str
    layers: int
    heads: int
    width: int
    feed_forward: int
    vocabulary: int
    positions: int
    epsilon: float
    rope_base: float
    """Of the angles by which positions turn; 0 where they do not."""
    pooling: str
    """As the file says it; empty where it does not."""
    elements: int
    """Numbers in all tensors."""
    rope_divisor: float = 1.0
    """Of all those angles, in a model that was stretched after its training."""
    has_types: bool = True
    """Whether tokens have a type."""

    @classmethod
    def from_header(cls, header: GgufHeader) -> Self:
        """Raises InvalidRequestError with the reason why this file is left to llama.cpp."""
        kind = header.architecture
        if kind not in ARCHITECTURES or header.is_adapter:
            refuse(f"its architecture is {shown(header.architecture)}")
        if header.number(COUNT_KEY, 1) > 1:
            refuse("it is in parts")
        if header.metadata.get(f"{kind}.attention.causal") is True:
            refuse("its tokens see only what is before them")
        facts = header.facts()
        shape = cls(
            architecture=kind,
            layers=facts.block_count,
            heads=facts.head_count,
            width=facts.embedding_length,
            feed_forward=header.number(f"{kind}.feed_forward_length"),
            vocabulary=facts.vocab_size,
            positions=facts.context_length,
            epsilon=_epsilon(header),
            rope_base=_rope_base(header) if kind == NOMIC else 0.0,
            pooling=facts.pooling,
            elements=sum(math.prod(tensor.shape) for tensor in header.tensors),
        )
        shape.check_numbers()
        shape._check_tensors(header)
        return shape

    @property
    def memory_bytes(self) -> int:
        """Private memory that the network takes at most, beside what llama.cpp or a tokenizer takes."""
        return COPIES * _FLOAT * self.elements + WORK_BYTES

    @property
    def has_gate(self) -> bool:
        """Whether what goes into the inner layer is let through by a second product."""
        return self.architecture != BERT

    @property
    def turns(self) -> bool:
        """Whether positions are angles by which heads turn."""
        return self.architecture in (NOMIC, GTE)

    def check_numbers(self) -> None:
        """Raise InvalidRequestError for numbers that no such model has."""
        sizes = self.feed_forward, self.vocabulary, self.positions
        if not 0 < self.layers <= MAX_LAYERS or min(sizes) < 1:
            refuse("its layers have sizes that no such model has")
        if self.positions > MAX_PLACES:
            refuse("it has more positions than any such model")
        if self.width < 1 or self.heads < 1 or self.width % self.heads:
            refuse("its width cannot be divided among its heads")
        if self.rope_base and self.width // self.heads % 2:
            refuse("its heads have an odd width, which cannot turn")

    def _check_tensors(self, header: GgufHeader) -> None:
        found = {tensor.name: tensor for tensor in header.tensors}
        wanted = dict(self.tensors())
        # What is there and unknown would be left out of the computation.
        unlike = found.keys() ^ wanted.keys()
        if unlike:
            refuse(f"it has another set of tensors ({shown(min(unlike))})")
        for name, shape in wanted.items():
            tensor = found[name]
            if tensor.kind not in PLAIN_KINDS:
                refuse(f"{name} is quantised")
            if len(tensor.shape) != len(shape) or any(
                want and have != want for have, want in zip(tensor.shape, shape, strict=True)
            ):
                refuse(f"{name} has another shape")

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every tensor with its shape, the fastest axis first; 0 stands for any size."""
        width = self.width
        yield "token_embd.weight", (width, self.vocabulary)
        if self.has_types:
            yield "token_types.weight", (width, 0)
        if self.architecture == BERT:
            yield "position_embd.weight", (width, self.positions)
        yield from _pair("token_embd_norm", (width,), width)
        for layer in range(self.layers):
            at = f"blk.{layer}"
            yield from self._products(at)
            yield from _pair(f"{at}.attn_output_norm", (width,), width)
            yield from _pair(f"{at}.layer_output_norm", (width,), width)

    def _products(self, at: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        width, inner = self.width, self.feed_forward
        if self.architecture == NOMIC:
            yield f"{at}.attn_qkv.weight", (width, 3 * width)
            yield f"{at}.attn_output.weight", (width, width)
            for name in ("ffn_up", "ffn_gate"):
                yield f"{at}.{name}.weight", (width, inner)
            yield f"{at}.ffn_down.weight", (inner, width)
            return
        if self.architecture == GTE:
            yield from _pair(f"{at}.attn_qkv", (width, 3 * width), 3 * width)
            yield from _pair(f"{at}.attn_output", (width, width), width)
        else:
            for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                yield from _pair(f"{at}.{name}", (width, width), width)
        if self.architecture != BERT:
            # Without biases: the gate's half first, in one matrix.
            yield f"{at}.ffn_up.weight", (width, 2 * inner)
        else:
            yield from _pair(f"{at}.ffn_up", (width, inner), inner)
        yield from _pair(f"{at}.ffn_down", (inner, width), width)


def _pair(name: str, weight: tuple[int, ...], bias: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", weight
    yield f"{name}.bias", (bias,)


def _epsilon(header: GgufHeader) -> float:
    value = header.metadata.get(f"{header.architecture}.attention.layer_norm_epsilon")
    if not isinstance(value, float) or not 0 < value <= MAX_EPSILON:
        refuse("its norms have no usable epsilon")
    return value


def _rope_base(header: GgufHeader) -> float:
    kind = header.architecture
    if any(key.startswith(f"{kind}.rope.scaling.") for key in header.metadata):
        refuse("its positions are stretched")
    # Whole heads turn; llama.cpp would read another number.
    turned = header.number(f"{kind}.rope.dimension_count")
    if turned and turned != header.facts().embedding_length // max(1, header.facts().head_count):
        refuse("its heads turn in part")
    value = header.metadata.get(f"{kind}.rope.freq_base", 10_000.0)
    if not isinstance(value, float) or not MIN_ROPE <= value <= MAX_ROPE:
        refuse("its positions turn by no usable angle")
    return value


def refuse(why: str) -> NoReturn:
    """Raise InvalidRequestError: OpenVINO does not compute such a model."""
    raise InvalidRequestError(f"OpenVINO does not compute this model: {why}.")
