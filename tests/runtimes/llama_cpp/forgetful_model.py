"""Real GGUF chat models that do not keep every token: with a window, with a state, and with both kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deploy.demo.models.tiny_models import (
    _LLAMA,
    _architecture_metadata,
    _normal,
    _tokenizer_metadata,
    _weights,
)
from deploy.demo.models.tiny_tokenizer import learn_vocabulary
from engines.gguf.writer import Metadata, write_gguf

CONTEXT = 4096
WINDOW = 64
STATE = 16
KERNEL = 4
RANK = 8


def write_windowed(path: Path) -> Path:
    """Write a ``gemma3`` model whose layers look back over a few tokens only."""
    vocabulary = learn_vocabulary(_LLAMA.merge_count, _LLAMA.control)
    tensors = _weights(_LLAMA, vocabulary, 5)
    head = _LLAMA.width // _LLAMA.heads
    for layer in range(_LLAMA.layers):
        for name, size in (
            ("attn_q_norm", head),
            ("attn_k_norm", head),
            ("post_attention_norm", _LLAMA.width),
            ("post_ffw_norm", _LLAMA.width),
        ):
            tensors[f"blk.{layer}.{name}.weight"] = np.ones(size, np.float32)
    metadata = {
        **_as("gemma3", _architecture_metadata(_LLAMA, CONTEXT, len(vocabulary.tokens))),
        **_tokenizer_metadata(_LLAMA, vocabulary),
        "gemma3.attention.sliding_window": WINDOW,
        # The last of three layers sees everything, and with it what the others had in their windows.
        "gemma3.attention.sliding_window_pattern": _LLAMA.layers,
    }
    return write_gguf(path, metadata, tensors)


def write_recurrent(path: Path) -> Path:
    """Write a ``mamba`` model, which has one state instead of a cache."""
    vocabulary = learn_vocabulary(_LLAMA.merge_count, _LLAMA.control)
    tensors = {
        name: tensor
        for name, tensor in _weights(_LLAMA, vocabulary, 6).items()
        if not name.startswith("blk.")
    }
    width, inner = _LLAMA.width, 2 * _LLAMA.width
    generator = np.random.default_rng(6)
    for layer in range(2):
        prefix = f"blk.{layer}"
        tensors |= {
            f"{prefix}.attn_norm.weight": np.ones(width, np.float32),
            f"{prefix}.ssm_in.weight": _normal(generator, (2 * inner, width), 1.0),
            f"{prefix}.ssm_conv1d.weight": generator.random((inner, KERNEL), np.float32),
            f"{prefix}.ssm_conv1d.bias": np.zeros(inner, np.float32),
            f"{prefix}.ssm_x.weight": _normal(generator, (RANK + 2 * STATE, inner), 1.0),
            f"{prefix}.ssm_dt.weight": _normal(generator, (inner, RANK), 1.0),
            f"{prefix}.ssm_dt.bias": np.zeros(inner, np.float32),
            f"{prefix}.ssm_a": -1 - generator.random((inner, STATE), np.float32),
            f"{prefix}.ssm_d": np.ones(inner, np.float32),
            f"{prefix}.ssm_out.weight": _normal(generator, (width, inner), 1.0),
        }
    metadata: Metadata = {
        **_as("mamba", _architecture_metadata(_LLAMA, CONTEXT, len(vocabulary.tokens))),
        **_tokenizer_metadata(_LLAMA, vocabulary),
        "mamba.block_count": 2,
        "mamba.ssm.conv_kernel": KERNEL,
        "mamba.ssm.inner_size": inner,
        "mamba.ssm.state_size": STATE,
        "mamba.ssm.time_step_rank": RANK,
    }
    return write_gguf(path, metadata, tensors)


def write_hybrid(path: Path) -> Path:
    """Write an ``lfm2`` model: one layer has a short memory of its own, the others see everything."""
    vocabulary = learn_vocabulary(_LLAMA.merge_count, _LLAMA.control)
    width, head = _LLAMA.width, _LLAMA.width // _LLAMA.heads
    tensors = {
        name: tensor
        for name, tensor in _weights(_LLAMA, vocabulary, 7).items()
        if name != "output_norm.weight" and not name.startswith("blk.1.attn")
    }
    generator = np.random.default_rng(7)
    tensors["token_embd_norm.weight"] = np.ones(width, np.float32)
    for layer in (0, 2):
        for name in ("attn_q_norm", "attn_k_norm"):
            tensors[f"blk.{layer}.{name}.weight"] = np.ones(head, np.float32)
    tensors |= {
        "blk.1.attn_norm.weight": np.ones(width, np.float32),
        "blk.1.shortconv.conv.weight": generator.random((width, KERNEL), np.float32),
        "blk.1.shortconv.in_proj.weight": _normal(generator, (3 * width, width), 1.0),
        "blk.1.shortconv.out_proj.weight": _normal(generator, (width, width), 1.0),
    }
    metadata: Metadata = {
        **_as("lfm2", _architecture_metadata(_LLAMA, CONTEXT, len(vocabulary.tokens))),
        **_tokenizer_metadata(_LLAMA, vocabulary),
        "lfm2.attention.head_count_kv": [_LLAMA.value_heads, 0, _LLAMA.value_heads],
        "lfm2.shortconv.l_cache": KERNEL,
    }
    return write_gguf(path, metadata, tensors)


def _as(architecture: str, metadata: Metadata) -> Metadata:
    named = {key.replace("llama.", f"{architecture}.", 1): value for key, value in metadata.items()}
    return {**named, "general.architecture": architecture}
