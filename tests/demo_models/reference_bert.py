"""WordPiece and the BERT forward pass written from their papers, to hold the converted model against."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Weights = Mapping[str, Vector]
HEADS = 12
LAYERS = 6
EPSILON = 1e-12
_erf = np.vectorize(math.erf, otypes=[np.float32])


def word_pieces(text: str, vocabulary: Mapping[str, int]) -> list[int]:
    """Token ids of ``text`` with [CLS] and [SEP], as BERT's uncased tokenizer gives them."""
    ids = [vocabulary["[CLS]"]]
    for word in _words(text):
        ids += _pieces(word, vocabulary)
    return [*ids, vocabulary["[SEP]"]]


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFD", text.lower())
    plain = "".join(sign for sign in plain if unicodedata.category(sign) != "Mn")
    return "".join(f" {sign} " if _stands_alone(sign) else sign for sign in plain).split()


def _stands_alone(sign: str) -> bool:
    ascii_symbol = sign.isascii() and not sign.isalnum() and not sign.isspace()
    chinese = 0x4E00 <= ord(sign) <= 0x9FFF
    return ascii_symbol or chinese or unicodedata.category(sign).startswith("P")


def _pieces(word: str, vocabulary: Mapping[str, int]) -> list[int]:
    ids: list[int] = []
    start = 0
    while start < len(word):
        prefix = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if prefix + word[start:end] in vocabulary), None)
        if end is None:
            return [vocabulary["[UNK]"]]
        ids.append(vocabulary[prefix + word[start:end]])
        start = end
    return ids


def embed(ids: list[int], weights: Weights) -> Vector:
    """The normalised mean of the last hidden states, shape (width,)."""
    hidden = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][: len(ids)]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    hidden = _norm(hidden, weights, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        hidden = _block(hidden, weights, f"encoder.layer.{layer}")
    mean = hidden.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def _block(hidden: Vector, weights: Weights, name: str) -> Vector:
    attended = _linear(_attention(hidden, weights, name), weights, f"{name}.attention.output.dense")
    hidden = _norm(hidden + attended, weights, f"{name}.attention.output.LayerNorm")
    inner = _linear(hidden, weights, f"{name}.intermediate.dense")
    inner = inner * (1 + _erf(inner / math.sqrt(2))) / 2
    outer = _linear(inner, weights, f"{name}.output.dense")
    return _norm(hidden + outer, weights, f"{name}.output.LayerNorm")


def _attention(hidden: Vector, weights: Weights, name: str) -> Vector:
    query, key, value = (
        _linear(hidden, weights, f"{name}.attention.self.{part}")
        .reshape(len(hidden), HEADS, -1)
        .transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[2])
    shares = np.exp(scores - scores.max(axis=2, keepdims=True))
    mixed = shares / shares.sum(axis=2, keepdims=True) @ value
    return np.asarray(mixed.transpose(1, 0, 2).reshape(hidden.shape))


def _linear(hidden: Vector, weights: Weights, name: str) -> Vector:
    return np.asarray(hidden @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def _norm(hidden: Vector, weights: Weights, name: str) -> Vector:
    centred = hidden - hidden.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
    return np.asarray(centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"])
