"""BERT's network as a graph of OpenVINO's operations, with the weights of a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from engines.runtimes.openvino.bert import BERT, JINA, NOMIC
from engines.runtimes.openvino.weights import Weights

UNSEEN = 1e9
"""Taken from the score of a place that holds no token, so that nobody attends to it."""
ANY = -1
FADES_MOST = 8.0
"""Of the head whose attention fades fastest with distance, per token."""

Node = Any
"""A node of the graph: OpenVINO's own classes come without types."""


def build_graph(weights: Weights, pooling: str) -> Any:
    """Return a model from tokens and their mask, both (texts, places), to vectors (texts, width)."""
    return _Builder(weights).model(pooling)


class _Builder:
    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._shape = shape = weights.shape
        self._tensors = weights.names
        self._split = _integers(0, 0, shape.heads, shape.width // shape.heads)
        self._heads_first = _integers(0, 2, 1, 3)
        self._turn: Callable[[Node], Node] | None = None
        """What turns a head by its places' angles, where positions are that."""

    def model(self, pooling: str) -> Any:
        tokens = op.parameter([ANY, ANY], ov.Type.i32, "tokens")
        mask = op.parameter([ANY, ANY], ov.Type.f32, "mask")
        unseen = op.multiply(op.subtract(mask, _number(1.0)), _number(UNSEEN))
        # (texts, 1, 1, places): the same for every head and for every token that looks.
        bias = op.unsqueeze(unseen, _integers(1, 2))
        places = op.gather(op.shape_of(tokens), _integers(1), _integer(0))
        if self._shape.architecture == JINA:
            bias = op.add(bias, self._fading(places))
        if self._shape.turns:
            self._turn = partial(_turned, *self._angles(places))
        rows = self._read(tokens, places)
        for layer in range(self._shape.layers):
            rows = self._layer(f"blk.{layer}", rows, bias)
        pooled = _first(rows) if pooling == "cls" else _mean(rows, mask)
        return ov.Model([pooled], [tokens, mask], "bert")

    def _read(self, tokens: Node, places: Node) -> Node:
        words = op.gather(self._constant("token_embd.weight"), tokens, _integer(0))
        if self._shape.architecture == BERT:
            table = self._constant("position_embd.weight")
            words = op.add(words, _rows_up_to(table, places))
        if self._shape.has_types:
            # A text by itself is of the first type; the second is for pairs.
            words = op.add(words, op.constant(self._weights.floats("token_types.weight")[:1]))
        return self._norm("token_embd_norm", words)

    def _angles(self, places: Node) -> tuple[Node, Node]:
        """Cosines and sines of each place's angles, (places, half a head)."""
        half = self._shape.width // self._shape.heads // 2
        steps = self._shape.rope_base ** -(np.arange(half, dtype=np.float64) / half)
        angles = np.arange(self._shape.positions)[:, None] * (steps / self._shape.rope_divisor)
        cosines, sines = (
            _rows_up_to(op.constant(values.astype(np.float32)), places)
            for values in (np.cos(angles), np.sin(angles))
        )
        return cosines, sines

    def _fading(self, places: Node) -> Node:
        """What distance takes from a score, (heads, places, places)."""
        numbers = op.convert(
            op.range(_integer(0), op.squeeze(places, _integers(0)), _integer(1), ov.Type.i64),
            ov.Type.f32,
        )
        apart = op.abs(
            op.subtract(op.unsqueeze(numbers, _integers(0)), op.unsqueeze(numbers, _integers(1)))
        )
        slopes = op.constant(-_slopes(self._shape.heads)[:, None, None])
        return op.multiply(op.unsqueeze(apart, _integers(0)), slopes)

    def _layer(self, at: str, rows: Node, bias: Node) -> Node:
        query, key, value = self._attended(at, rows)
        seen = op.scaled_dot_product_attention(query, key, value, bias)
        joined = op.reshape(
            op.transpose(seen, self._heads_first),
            _integers(0, 0, self._shape.width),
            special_zero=True,
        )
        rows = self._norm(
            f"{at}.attn_output_norm", op.add(self._linear(f"{at}.attn_output", joined), rows)
        )
        inner = self._inner(at, rows)
        return self._norm(
            f"{at}.layer_output_norm", op.add(self._linear(f"{at}.ffn_down", inner), rows)
        )

    def _inner(self, at: str, rows: Node) -> Node:
        up = self._linear(f"{at}.ffn_up", rows)
        if not self._shape.has_gate:
            return op.gelu(up, "erf")
        if self._shape.architecture == NOMIC:
            return op.multiply(op.swish(self._linear(f"{at}.ffn_gate", rows)), up)
        gate, through = op.split(up, _integer(-1), 2).outputs()
        return op.multiply(op.gelu(gate, "erf"), through)

    def _attended(self, at: str, rows: Node) -> tuple[Node, Node, Node]:
        """Queries, keys and values, (texts, heads, places, a head's width)."""
        if self._turn is None:
            query, key, value = (
                self._heads(self._linear(f"{at}.attn_{name}", rows)) for name in "qkv"
            )
            return query, key, value
        together = op.split(self._linear(f"{at}.attn_qkv", rows), _integer(-1), 3).outputs()
        query, key, value = map(self._heads, together)
        return self._turn(query), self._turn(key), value

    def _heads(self, rows: Node) -> Node:
        return op.transpose(op.reshape(rows, self._split, special_zero=True), self._heads_first)

    def _linear(self, name: str, rows: Node) -> Node:
        product = op.matmul(
            rows, self._constant(f"{name}.weight"), transpose_a=False, transpose_b=True
        )
        bias = f"{name}.bias"
        return op.add(product, self._constant(bias)) if bias in self._tensors else product

    def _norm(self, name: str, rows: Node) -> Node:
        even = op.mvn(
            rows,
            _integers(-1),
            normalize_variance=True,
            eps=self._shape.epsilon,
            eps_mode="INSIDE_SQRT",
        )
        scaled = op.multiply(even, self._constant(f"{name}.weight"))
        return op.add(scaled, self._constant(f"{name}.bias"))

    def _constant(self, name: str) -> Node:
        return op.constant(self._weights.floats(name))


def _turned(cosines: Node, sines: Node, heads: Node) -> Node:
    """Turn the first half of each head against its second half."""
    left, right = op.split(heads, _integer(-1), 2).outputs()
    return op.concat(
        [
            op.subtract(op.multiply(left, cosines), op.multiply(right, sines)),
            op.add(op.multiply(right, cosines), op.multiply(left, sines)),
        ],
        -1,
    )


def _rows_up_to(table: Node, places: Node) -> Node:
    return op.slice(table, _integers(0), places, _integers(1), _integers(0))


def _slopes(heads: int) -> NDArray[np.float32]:
    """How fast each head's attention fades, as ALiBi spreads it over any number of heads."""
    whole = 2 ** int(np.log2(heads))
    first, between = 2.0 ** (-FADES_MOST / whole), 2.0 ** (-FADES_MOST / 2 / whole)
    slopes = [
        first ** (head + 1) if head < whole else between ** (2 * (head - whole) + 1)
        for head in range(heads)
    ]
    return np.array(slopes, np.float32)


def _first(rows: Node) -> Node:
    return op.gather(rows, _integer(0), _integer(1))


def _mean(rows: Node, mask: Node) -> Node:
    wide = op.unsqueeze(mask, _integers(2))
    total = op.reduce_sum(op.multiply(rows, wide), _integers(1))
    return op.divide(total, op.reduce_sum(wide, _integers(1)))


def _integers(*values: int) -> Node:
    return op.constant(np.array(values, np.int64))


def _integer(value: int) -> Node:
    return op.constant(np.int64(value))


def _number(value: float) -> Node:
    return op.constant(np.float32(value))
