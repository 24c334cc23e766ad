"""The networks of the tiny folders as their publishers write them down, in NumPy and one text at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.runtimes.openvino.tiny_folders import HEADS, LAYERS, NTK, WIDTH, Tensors

Rows = NDArray[np.float64]
HEAD = WIDTH // HEADS
_erf = np.vectorize(math.erf)


class WrittenNetwork:
    """One kind's rules over its tensors."""

    def __init__(self, kind: str, tensors: Tensors) -> None:
        self._kind = kind
        self._tensors = {name: value.astype(np.float64) for name, value in tensors.items()}

    def rows(self, tokens: Sequence[int]) -> Rows:
        """The last layer's row of each token."""
        tables = "embeddings.{}.weight".format
        rows: Any = self._tensors[tables("word_embeddings")][list(tokens)]
        if self._kind != "new":
            rows = rows + self._tensors[tables("token_type_embeddings")][0]
        if self._kind in ("bert", "xlm-roberta"):
            first = 2 if self._kind == "xlm-roberta" else 0
            places = self._tensors[tables("position_embeddings")]
            rows = rows + places[first : first + len(tokens)]
        rows = self._norm("emb_ln" if self._kind == "nomic_bert" else "embeddings.LayerNorm", rows)
        for layer in range(LAYERS):
            rows = self._layer(layer, rows)
        return np.asarray(rows)

    def _layer(self, layer: int, rows: Rows) -> Rows:
        if self._kind == "nomic_bert":
            return self._nomic_layer(f"encoder.layers.{layer}", rows)
        at = f"encoder.layer.{layer}"
        return self._gte_layer(at, rows) if self._kind == "new" else self._bert_layer(at, rows)

    def _nomic_layer(self, at: str, rows: Rows) -> Rows:
        query, key, value = np.split(self._product(f"{at}.attn.Wqkv", rows), 3, axis=1)
        seen = self._product(f"{at}.attn.out_proj", self._attend(query, key, value))
        rows = self._norm(f"{at}.norm1", rows + seen)
        gate = self._product(f"{at}.mlp.fc12", rows)
        inner = self._product(f"{at}.mlp.fc11", rows) * gate / (1 + np.exp(-gate))
        return self._norm(f"{at}.norm2", rows + self._product(f"{at}.mlp.fc2", inner))

    def _gte_layer(self, at: str, rows: Rows) -> Rows:
        query, key, value = np.split(self._product(f"{at}.attention.qkv_proj", rows), 3, axis=1)
        seen = self._product(f"{at}.attention.o_proj", self._attend(query, key, value))
        rows = self._norm(f"{at}.attn_ln", rows + seen)
        up, gate = np.split(self._product(f"{at}.mlp.up_gate_proj", rows), 2, axis=1)
        inner = self._product(f"{at}.mlp.down_proj", up * _gelu(gate))
        return self._norm(f"{at}.mlp_ln", rows + inner)

    def _bert_layer(self, at: str, rows: Rows) -> Rows:
        query, key, value = (
            self._product(f"{at}.attention.self.{name}", rows) for name in ("query", "key", "value")
        )
        seen = self._product(f"{at}.attention.output.dense", self._attend(query, key, value))
        rows = self._norm(f"{at}.attention.output.LayerNorm", rows + seen)
        inner = _gelu(self._product(f"{at}.intermediate.dense", rows))
        return self._norm(
            f"{at}.output.LayerNorm", rows + self._product(f"{at}.output.dense", inner)
        )

    def _attend(self, query: Rows, key: Rows, value: Rows) -> Rows:
        found = []
        for head in range(HEADS):
            own = slice(head * HEAD, (head + 1) * HEAD)
            asked, there = self._turned(query[:, own]), self._turned(key[:, own])
            scores = asked @ there.T / math.sqrt(HEAD)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            found.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, own])
        return np.concatenate(found, axis=1)

    def _turned(self, head: Rows) -> Rows:
        if self._kind not in ("nomic_bert", "new"):
            return head
        base, divisor = (1000.0, 1.0)
        if self._kind == "new":
            base, divisor = 20000.0 * NTK, NTK ** (2 / HEAD)
        frequencies = 1 / base ** (np.arange(0, HEAD, 2) / HEAD) / divisor
        turned = np.empty_like(head)
        for place, row in enumerate(head):
            for pair, frequency in enumerate(frequencies):
                turn = complex(row[pair], row[pair + HEAD // 2]) * np.exp(1j * place * frequency)
                turned[place, pair], turned[place, pair + HEAD // 2] = turn.real, turn.imag
        return turned

    def _product(self, name: str, rows: Rows) -> Rows:
        found = rows @ self._tensors[f"{name}.weight"].T
        bias = self._tensors.get(f"{name}.bias")
        return np.asarray(found if bias is None else found + bias)

    def _norm(self, name: str, rows: Rows) -> Rows:
        even = rows - rows.mean(axis=1, keepdims=True)
        even /= np.sqrt((even**2).mean(axis=1, keepdims=True) + 1e-12)
        return np.asarray(even * self._tensors[f"{name}.weight"] + self._tensors[f"{name}.bias"])


def _gelu(rows: Rows) -> Rows:
    return np.asarray(rows * (1 + _erf(rows / math.sqrt(2))) / 2)
