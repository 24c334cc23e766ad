"""A tiny rank model: BERT's architecture with a head that judges pairs, and weights from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.gguf.writer import Metadata, write_gguf

WIDTH, INNER, HEADS, CONTEXT = 32, 64, 2, 128
CONTROL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = [
    "roof",
    "slate",
    "harbour",
    "boat",
    "engine",
    "moves",
    "the",
    "a",
    "of",
    "is",
    "was",
    "with",
    "who",
    "what",
    "where",
    "covered",
    "library",
    "key",
    "gull",
    "stone",
    "wall",
    "sea",
    "morning",
    "late",
    "early",
    "door",
    "lamp",
    "book",
    "shelf",
    "reader",
    "winter",
    "summer",
]
CLS, SEP = 2, 3
_RANK = 4
_CONTROL_KIND, _NORMAL_KIND = 3, 1


@dataclass(frozen=True)
class Head:
    """What makes a number of the first token's vector."""

    inner: NDArray[np.float32]
    inner_bias: NDArray[np.float32]
    outer: NDArray[np.float32]
    outer_bias: NDArray[np.float32]

    def logit(self, vector: NDArray[np.float32]) -> float:
        hidden = np.tanh(self.inner @ vector + self.inner_bias)
        return float((self.outer @ hidden + self.outer_bias)[0])


def write_rank_model(path: Path, *, seed: int = 5) -> tuple[Path, Head]:
    """Write the file; return it with its head."""
    chance = np.random.default_rng(seed)

    def weights(*shape: int, scale: float = 0.3) -> NDArray[np.float32]:
        return (chance.standard_normal(shape) * scale).astype(np.float32)

    head = Head(weights(WIDTH, WIDTH), weights(WIDTH), weights(1, WIDTH, scale=0.6), weights(1))
    tensors: dict[str, NDArray[Any]] = {
        "token_embd.weight": weights(len(CONTROL) + len(WORDS), WIDTH, scale=1.0),
        "token_types.weight": weights(2, WIDTH),
        "position_embd.weight": weights(CONTEXT, WIDTH),
        **_norm("token_embd_norm"),
    }
    for name, (out, into) in {
        **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH)),
        "ffn_up": (INNER, WIDTH),
        "ffn_down": (WIDTH, INNER),
    }.items():
        tensors |= {f"blk.0.{name}.weight": weights(out, into), f"blk.0.{name}.bias": weights(out)}
    tensors |= _norm("blk.0.attn_output_norm") | _norm("blk.0.layer_output_norm")
    tensors |= {
        "cls.weight": head.inner,
        "cls.bias": head.inner_bias,
        "cls.output.weight": head.outer,
        "cls.output.bias": head.outer_bias,
    }
    return write_gguf(path, _metadata(), tensors), head


def _norm(name: str) -> dict[str, NDArray[Any]]:
    return {
        f"{name}.weight": np.ones(WIDTH, np.float32),
        f"{name}.bias": np.zeros(WIDTH, np.float32),
    }


def _metadata() -> Metadata:
    tokens = [*CONTROL, *(f"\u2581{word}" for word in WORDS)]
    return {
        "general.architecture": "bert",
        "general.name": "SAM Tiny Rank",
        "general.file_type": 0,
        "bert.context_length": CONTEXT,
        "bert.embedding_length": WIDTH,
        "bert.feed_forward_length": INNER,
        "bert.block_count": 1,
        "bert.attention.head_count": HEADS,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": _RANK,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "jina-v2-en",
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [
            _CONTROL_KIND if token in CONTROL else _NORMAL_KIND for token in tokens
        ],
        "tokenizer.ggml.bos_token_id": CLS,
        "tokenizer.ggml.cls_token_id": CLS,
        "tokenizer.ggml.seperator_token_id": SEP,
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.mask_token_id": 4,
    }
