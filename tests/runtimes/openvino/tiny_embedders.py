"""Tiny embedders with random weights: real architectures and a tokenizer of some hundred words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.gguf.writer import Metadata, write_gguf
from engines.runtimes.openvino.bert import JINA, NOMIC

WIDTH, HEADS, INNER, LAYERS, PLACES = 96, 6, 160, 3, 128
CONTROL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    f"{first}{middle}{last}" for first in "bdfgklmnprstvz" for middle in "aeiou" for last in "lnr"
]
TOKENS = [*CONTROL, *(f"▁{word}" for word in WORDS)]
Weights = Iterator[tuple[str, NDArray[Any]]]


def write_embedder(path: Path, architecture: str, **changed: Any) -> Path:
    """Write one of the rarer architectures; ``changed`` is written over its own facts."""
    own = {
        "block_count": LAYERS,
        "context_length": PLACES,
        "embedding_length": WIDTH,
        "feed_forward_length": INNER,
        "attention.head_count": HEADS,
        "attention.layer_norm_epsilon": 1e-5,
        "attention.causal": False,
        "pooling_type": 1,
        **({"rope.freq_base": 1000.0} if architecture == NOMIC else {}),
        **changed,
    }
    metadata: Metadata = {
        "general.architecture": architecture,
        "general.name": f"tiny {architecture}",
        "general.file_type": 0,
        **{f"{architecture}.{key}": value for key, value in own.items()},
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.token_type": [3] * len(CONTROL) + [1] * len(WORDS),
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.cls_token_id": 2,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,
        "tokenizer.ggml.eos_token_id": 3,
        "tokenizer.ggml.mask_token_id": 4,
    }
    return write_gguf(path, metadata, dict(_weights(architecture)))


def _weights(architecture: str) -> Weights:
    dice = np.random.default_rng(7)

    def matrix(name: str, into: int, out: int) -> tuple[str, NDArray[Any]]:
        values = dice.normal(0, into**-0.5, (out, into))
        return f"{name}.weight", values.astype(np.float32)

    def bias(name: str, size: int) -> tuple[str, NDArray[Any]]:
        return f"{name}.bias", dice.normal(0, 0.1, size).astype(np.float32)

    def norm(name: str) -> Weights:
        yield f"{name}.weight", dice.normal(1, 0.1, WIDTH).astype(np.float32)
        yield bias(name, WIDTH)

    yield "token_embd.weight", dice.normal(0, 1, (len(TOKENS), WIDTH)).astype(np.float32)
    yield "token_types.weight", dice.normal(0, 1, (2, WIDTH)).astype(np.float32)
    yield from norm("token_embd_norm")
    for layer in range(LAYERS):
        at = f"blk.{layer}"
        yield from norm(f"{at}.attn_output_norm")
        yield from norm(f"{at}.layer_output_norm")
        if architecture == NOMIC:
            yield matrix(f"{at}.attn_qkv", WIDTH, 3 * WIDTH)
            yield matrix(f"{at}.attn_output", WIDTH, WIDTH)
            yield matrix(f"{at}.ffn_up", WIDTH, INNER)
            yield matrix(f"{at}.ffn_gate", WIDTH, INNER)
            yield matrix(f"{at}.ffn_down", INNER, WIDTH)
        if architecture == JINA:
            for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                yield matrix(f"{at}.{name}", WIDTH, WIDTH)
                yield bias(f"{at}.{name}", WIDTH)
            yield matrix(f"{at}.ffn_up", WIDTH, 2 * INNER)
            yield matrix(f"{at}.ffn_down", INNER, WIDTH)
            yield bias(f"{at}.ffn_down", WIDTH)
