"""Tiny chat engines of two families, and an adapter for one of them.

Architecture, tokenizer and chat template are real; the weights are random, so what these engines
say means nothing. They load, generate, stream and count tokens as any other model does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.demo.models.tiny_tokenizer import Vocabulary, learn_vocabulary
from engines.exceptions import AdapterMismatchError
from engines.gguf.reader import read_header
from engines.gguf.writer import Metadata, write_gguf

LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LORA_RANK = 4
LORA_ALPHA = 8.0
_WEIGHT_SCALE = 1.5
_SPEECH_SCALE = 1.0
_LORA_SCALE = 2.0

Matrix = NDArray[np.float16] | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Family:
    """What tells one tiny engine from the other."""

    architecture: str
    name: str
    pre_tokenizer: str
    template: str
    control: tuple[str, ...]
    first: str
    end_of_text: str
    end_of_turn: str
    merge_count: int
    add_first: bool
    attention_bias: bool
    width: int
    heads: int
    value_heads: int
    inner_width: int
    layers: int
    rope_base: float


_LLAMA = _Family(
    architecture="llama",
    name="SAM Tiny Llama",
    pre_tokenizer="llama-bpe",
    template=LLAMA_TEMPLATE,
    control=(
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ),
    first="<|begin_of_text|>",
    end_of_text="<|end_of_text|>",
    end_of_turn="<|eot_id|>",
    merge_count=400,
    add_first=True,
    attention_bias=False,
    width=128,
    heads=4,
    value_heads=2,
    inner_width=384,
    layers=3,
    rope_base=500_000.0,
)
_QWEN = _Family(
    architecture="qwen2",
    name="SAM Tiny Qwen",
    pre_tokenizer="qwen2",
    template=QWEN_TEMPLATE,
    control=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    first="<|endoftext|>",
    end_of_text="<|im_end|>",
    end_of_turn="<|im_end|>",
    merge_count=600,
    add_first=False,
    attention_bias=True,
    width=160,
    heads=5,
    value_heads=1,
    inner_width=448,
    layers=2,
    rope_base=1_000_000.0,
)


def write_llama_chat(
    path: Path, *, seed: int = 1, context_length: int = 512, scale: int = 1
) -> Path:
    """Write a ``llama`` chat model with the Llama 3 message format; equal arguments, equal bytes.

    ``scale`` times as wide and as deep, it has about ``scale ** 3`` times the weights.
    """
    return _write_chat(path, _scaled(_LLAMA, scale), seed, context_length)


def write_qwen_chat(path: Path, *, seed: int = 2, context_length: int = 1024) -> Path:
    """Write a ``qwen2`` chat model with the ChatML message format; equal arguments, equal bytes."""
    return _write_chat(path, _QWEN, seed, context_length)


def write_lora_for(path: Path, base_path: Path, *, seed: int = 3) -> Path:
    """Write a LoRA adapter on the query and output projections of every layer of ``base_path``.

    Raises AdapterMismatchError when the base has no such projections.
    """
    base = read_header(base_path)
    generator = np.random.default_rng(seed)
    tensors: dict[str, Matrix] = {}
    for tensor in base.tensors:
        if tensor.name.endswith((".attn_q.weight", ".attn_output.weight")):
            inputs, outputs = tensor.shape
            tensors[f"{tensor.name}.lora_a"] = _normal(generator, (LORA_RANK, inputs), _LORA_SCALE)
            tensors[f"{tensor.name}.lora_b"] = _normal(generator, (outputs, LORA_RANK), _LORA_SCALE)
    if not tensors:
        raise AdapterMismatchError(f"{base_path.name} has no attention to adapt; use a chat model.")
    metadata: Metadata = {
        "general.architecture": base.facts().architecture,
        "general.type": "adapter",
        "general.name": "SAM Tiny LoRA",
        "adapter.type": "lora",
        "adapter.lora.alpha": LORA_ALPHA,
    }
    return write_gguf(path, metadata, tensors)


def _scaled(family: _Family, scale: int) -> _Family:
    return replace(
        family,
        width=family.width * scale,
        heads=family.heads * scale,
        value_heads=family.value_heads * scale,
        inner_width=family.inner_width * scale,
        layers=family.layers * scale,
    )


def _write_chat(path: Path, family: _Family, seed: int, context_length: int) -> Path:
    vocabulary = learn_vocabulary(family.merge_count, family.control)
    metadata = {
        **_architecture_metadata(family, context_length, len(vocabulary.tokens)),
        **_tokenizer_metadata(family, vocabulary),
    }
    return write_gguf(path, metadata, _weights(family, vocabulary, seed))


def _architecture_metadata(family: _Family, context_length: int, vocabulary_size: int) -> Metadata:
    prefix = family.architecture
    return {
        "general.architecture": family.architecture,
        "general.name": family.name,
        "general.file_type": 1,
        f"{prefix}.context_length": context_length,
        f"{prefix}.embedding_length": family.width,
        f"{prefix}.feed_forward_length": family.inner_width,
        f"{prefix}.block_count": family.layers,
        f"{prefix}.attention.head_count": family.heads,
        f"{prefix}.attention.head_count_kv": family.value_heads,
        f"{prefix}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{prefix}.rope.dimension_count": family.width // family.heads,
        f"{prefix}.rope.freq_base": family.rope_base,
        f"{prefix}.vocab_size": vocabulary_size,
    }


def _tokenizer_metadata(family: _Family, vocabulary: Vocabulary) -> Metadata:
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": family.pre_tokenizer,
        "tokenizer.ggml.tokens": vocabulary.tokens,
        "tokenizer.ggml.token_type": vocabulary.types,
        "tokenizer.ggml.merges": vocabulary.merges,
        "tokenizer.ggml.bos_token_id": vocabulary.id_of(family.first),
        "tokenizer.ggml.eos_token_id": vocabulary.id_of(family.end_of_text),
        "tokenizer.ggml.eot_token_id": vocabulary.id_of(family.end_of_turn),
        "tokenizer.ggml.add_bos_token": family.add_first,
        "tokenizer.chat_template": family.template,
    }


def _weights(family: _Family, vocabulary: Vocabulary, seed: int) -> dict[str, Matrix]:
    generator = np.random.default_rng(seed)
    size = (len(vocabulary.tokens), family.width)
    tensors: dict[str, Matrix] = {
        "token_embd.weight": generator.standard_normal(size).astype(np.float16),
        "output_norm.weight": np.ones(family.width, np.float32),
        "output.weight": _speech(generator, size, vocabulary.speakable()),
    }
    for layer in range(family.layers):
        tensors |= _layer(generator, family, f"blk.{layer}")
    return tensors


def _speech(generator: np.random.Generator, size: tuple[int, int], spoken: list[int]) -> Matrix:
    """Random rows for the pieces that may be said; zero rows keep bytes and stop tokens silent."""
    rows = np.zeros(size, np.float16)
    rows[spoken] = _normal(generator, (len(spoken), size[1]), _SPEECH_SCALE)
    return rows


def _layer(generator: np.random.Generator, family: _Family, prefix: str) -> dict[str, Matrix]:
    width, inner = family.width, family.inner_width
    value_width = width // family.heads * family.value_heads
    shapes = {
        "attn_q": (width, width),
        "attn_k": (value_width, width),
        "attn_v": (value_width, width),
        "attn_output": (width, width),
        "ffn_gate": (inner, width),
        "ffn_up": (inner, width),
        "ffn_down": (width, inner),
    }
    tensors: dict[str, Matrix] = {
        f"{prefix}.{name}.weight": _normal(generator, shape, _WEIGHT_SCALE)
        for name, shape in shapes.items()
    }
    for norm in ("attn_norm", "ffn_norm"):
        tensors[f"{prefix}.{norm}.weight"] = np.ones(width, np.float32)
    if family.attention_bias:
        for name in ("attn_q", "attn_k", "attn_v"):
            bias = generator.standard_normal(shapes[name][0]) / 2
            tensors[f"{prefix}.{name}.bias"] = bias.astype(np.float32)
    return tensors


def _normal(generator: np.random.Generator, shape: tuple[int, int], scale: float) -> Matrix:
    """Rows of expected length ``scale``, so that signals neither die nor explode."""
    length = float(np.sqrt(shape[1]))
    return (generator.standard_normal(shape) * (scale / length)).astype(np.float16)
