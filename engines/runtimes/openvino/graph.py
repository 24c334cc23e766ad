"""BERT's network as a graph of OpenVINO's operations, with the weights of a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from engines.gguf.header import GgufHeader, TensorInfo
from engines.gguf.tensors import load_floats
from engines.runtimes.openvino.bert import BertShape

UNSEEN = 1e9
"""Taken from the score of a place that holds no token, so that nobody attends to it."""
ANY = -1

Node = Any
"""A node of the graph: OpenVINO's own classes come without types."""


def build_graph(path: Path, header: GgufHeader, shape: BertShape, pooling: str) -> Any:
    """Return a model from tokens and their mask, both (texts, places), to vectors (texts, width)."""
    return _Builder(path, header, shape).model(pooling)


class _Builder:
    def __init__(self, path: Path, header: GgufHeader, shape: BertShape) -> None:
        self._path = path
        self._header = header
        self._shape = shape
        self._tensors: Mapping[str, TensorInfo] = {each.name: each for each in header.tensors}
        self._split = _integers(0, 0, shape.heads, shape.width // shape.heads)
        self._heads_first = _integers(0, 2, 1, 3)

    def model(self, pooling: str) -> Any:
        tokens = op.parameter([ANY, ANY], ov.Type.i32, "tokens")
        mask = op.parameter([ANY, ANY], ov.Type.f32, "mask")
        unseen = op.multiply(op.subtract(mask, _number(1.0)), _number(UNSEEN))
        # (texts, 1, 1, places): the same for every head and for every token that looks.
        bias = op.unsqueeze(unseen, _integers(1, 2))
        rows = self._read(tokens)
        for layer in range(self._shape.layers):
            rows = self._layer(f"blk.{layer}", rows, bias)
        pooled = _first(rows) if pooling == "cls" else _mean(rows, mask)
        return ov.Model([pooled], [tokens, mask], "bert")

    def _read(self, tokens: Node) -> Node:
        places = op.gather(op.shape_of(tokens), _integers(1), _integer(0))
        positions = op.slice(
            self._constant("position_embd.weight"),
            _integers(0),
            places,
            _integers(1),
            _integers(0),
        )
        words = op.gather(self._constant("token_embd.weight"), tokens, _integer(0))
        # A text by itself is of the first type; the second is for pairs.
        kind = op.constant(self._floats("token_types.weight")[:1])
        return self._norm("token_embd_norm", op.add(op.add(words, positions), kind))

    def _layer(self, at: str, rows: Node, bias: Node) -> Node:
        query, key, value = (self._heads(f"{at}.attn_{name}", rows) for name in "qkv")
        seen = op.scaled_dot_product_attention(query, key, value, bias)
        joined = op.reshape(
            op.transpose(seen, self._heads_first),
            _integers(0, 0, self._shape.width),
            special_zero=True,
        )
        rows = self._norm(
            f"{at}.attn_output_norm", op.add(self._linear(f"{at}.attn_output", joined), rows)
        )
        inner = op.gelu(self._linear(f"{at}.ffn_up", rows), "erf")
        return self._norm(
            f"{at}.layer_output_norm", op.add(self._linear(f"{at}.ffn_down", inner), rows)
        )

    def _heads(self, name: str, rows: Node) -> Node:
        split = op.reshape(self._linear(name, rows), self._split, special_zero=True)
        return op.transpose(split, self._heads_first)

    def _linear(self, name: str, rows: Node) -> Node:
        product = op.matmul(
            rows, self._constant(f"{name}.weight"), transpose_a=False, transpose_b=True
        )
        return op.add(product, self._constant(f"{name}.bias"))

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
        return op.constant(self._floats(name))

    def _floats(self, name: str) -> NDArray[np.float32]:
        return load_floats(self._path, self._header, self._tensors[name])


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
