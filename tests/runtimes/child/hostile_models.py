"""Whole GGUF models with one thing wrong, which a header alone may not show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.gguf.header import GgufArray
from engines.gguf.reader import read_header
from engines.gguf.writer import write_gguf

NAN = float("nan")
INFINITE = float("inf")
DTYPES = {"F32": np.float32, "F16": np.float16}
TEMPLATE = "tokenizer.chat_template"
TOKENS = "tokenizer.ggml.tokens"
MERGES = "tokenizer.ggml.merges"
TYPES = "tokenizer.ggml.token_type"
NESTED_LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@dataclass
class Model:
    """A model's parts, to be changed and written again."""

    metadata: dict[str, Any]
    tensors: dict[str, NDArray[Any]]

    @classmethod
    def read(cls, path: Path) -> Model:
        header = read_header(path)
        data = path.read_bytes()[header.data_offset :]
        tensors = {
            info.name: np.frombuffer(
                data, DTYPES[info.kind_name], int(np.prod(info.shape)), info.offset
            ).reshape(info.shape[::-1])
            for info in header.tensors
        }
        return cls({key: _plain(value) for key, value in header.metadata.items()}, tensors)

    def write(self, path: Path) -> Path:
        return write_gguf(path, self.metadata, self.tensors)


Change = Callable[[Model], None]


def _plain(value: Any) -> Any:
    return list(value.values) if isinstance(value, GgufArray) else value


def fact(key: str, value: Any) -> Change:
    """The architecture's own ``key``, or a full name with its dots."""
    name = key if key.startswith(("general.", "tokenizer.", "split.")) else f"llama.{key}"
    return lambda model: model.metadata.update({name: value})


def without(*names: str) -> Change:
    """Facts or tensors left out."""

    def change(model: Model) -> None:
        for name in names:
            model.metadata.pop(name, None)
            model.tensors.pop(name, None)

    return change


def shaped(name: str, *shape: int, dtype: Any = np.float16) -> Change:
    """A tensor of another shape (slowest axis first) or type, of ones."""
    return lambda model: model.tensors.update({name: np.ones(shape, dtype)})


def filled(name: str, number: float) -> Change:
    return lambda model: model.tensors.update({name: np.full_like(model.tensors[name], number)})


def all_of(*changes: Change) -> Change:
    def change(model: Model) -> None:
        for one in changes:
            one(model)

    return change


def first_tokens(*texts: str) -> Change:
    def change(model: Model) -> None:
        model.metadata[TOKENS][: len(texts)] = texts

    return change


def kept(key: str, count: int) -> Change:
    """An array cut to ``count`` values, or repeated up to them."""

    def change(model: Model) -> None:
        values = model.metadata[key]
        model.metadata[key] = (values * (count // len(values) + 1))[:count]

    return change


def renamed(old: str, new: str) -> Change:
    return lambda model: model.tensors.update({new: model.tensors.pop(old)})


def architecture(name: str) -> Change:
    """The same file said to be of another architecture, its facts renamed with it."""

    def change(model: Model) -> None:
        model.metadata = {
            key.replace("llama.", f"{name}.", 1) if key.startswith("llama.") else key: value
            for key, value in model.metadata.items()
        }
        model.metadata["general.architecture"] = name

    return change


SHAPES: dict[str, Change] = {
    "embedding_length 0": fact("embedding_length", 0),
    "embedding_length 64": fact("embedding_length", 64),
    "embedding_length 2^32-1": fact("embedding_length", 2**32 - 1),
    "feed_forward_length 0": fact("feed_forward_length", 0),
    "feed_forward_length 2^31": fact("feed_forward_length", 2**31),
    "heads that do not divide": fact("attention.head_count", 3),
    "2^30 heads": fact("attention.head_count", 2**30),
    "2^32-1 heads": fact("attention.head_count", 2**32 - 1),
    "no value heads": fact("attention.head_count_kv", 0),
    "3 value heads": fact("attention.head_count_kv", 3),
    "more value heads than heads": fact("attention.head_count_kv", 2**20),
    "key_length 2^31": fact("attention.key_length", 2**31),
    "value_length 0": fact("attention.value_length", 0),
    "512 blocks and 3 layers": fact("block_count", 512),
    "1 block and 3 layers": fact("block_count", 1),
    "context 0": fact("context_length", 0),
    "context 2^30": fact("context_length", 2**30),
    "context 2^31": fact("context_length", 2**31),
    "context 2^32-1": fact("context_length", 2**32 - 1),
    "rope dimensions 0": fact("rope.dimension_count", 0),
    "rope dimensions 31": fact("rope.dimension_count", 31),
    "rope dimensions 2^31": fact("rope.dimension_count", 2**31),
    "rope base 0": fact("rope.freq_base", 0.0),
    "rope base NaN": fact("rope.freq_base", NAN),
    "rope scaling by 0": all_of(
        fact("rope.scaling.type", "yarn"),
        fact("rope.scaling.factor", 0.0),
        fact("rope.scaling.original_context_length", 0),
    ),
    "epsilon NaN": fact("attention.layer_norm_rms_epsilon", NAN),
    "epsilon missing": without("llama.attention.layer_norm_rms_epsilon"),
    "2^31 experts": all_of(fact("expert_count", 2**31), fact("expert_used_count", 2)),
    "more experts used than there": all_of(fact("expert_count", 2), fact("expert_used_count", 200)),
    "vocabulary of 10": fact("vocab_size", 10),
    "window 2^32-1": fact("attention.sliding_window", 2**32 - 1),
    "a part of a thousand": all_of(fact("split.count", 1000), fact("split.no", 0)),
    "unknown architecture": architecture("llama-9"),
    "said to be bert": architecture("bert"),
    "said to be mamba": architecture("mamba"),
    "said to be t5": architecture("t5"),
    "said to be a projector": architecture("clip"),
}

TENSORS: dict[str, Change] = {
    "an embedding of one row": shaped("token_embd.weight", 1, 128),
    "an embedding of other width": shaped("token_embd.weight", 661, 64),
    "no output norm": without("output_norm.weight"),
    "no embedding": without("token_embd.weight"),
    "a projection too few": without("blk.1.attn_v.weight"),
    "a projection on its side": shaped("blk.0.attn_k.weight", 128, 64),
    "a vector for a matrix": shaped("blk.0.ffn_up.weight", 128),
    "a matrix of four axes": shaped("blk.0.ffn_up.weight", 2, 2, 96, 128),
    "a norm of one": shaped("blk.0.attn_norm.weight", 1, dtype=np.float32),
    "a tensor nobody asked for": shaped("blk.7.secret.weight", 128),
    "a name of another layer": renamed("blk.2.ffn_up.weight", "blk.9.ffn_up.weight"),
    "frequencies of wrong length": shaped("rope_freqs.weight", 3, dtype=np.float32),
    "frequencies of zero": shaped("rope_freqs.weight", 16, dtype=np.float32),
    "a bias of wrong length": shaped("blk.0.attn_q.bias", 5, dtype=np.float32),
    "weights that are no numbers": filled("output.weight", NAN),
    "weights without bound": filled("token_embd.weight", INFINITE),
    "a norm that is no number": filled("output_norm.weight", NAN),
}

TOKENIZERS: dict[str, Change] = {
    "no tokens": without(TOKENS),
    "no tokenizer": without(TOKENS, MERGES, TYPES, "tokenizer.ggml.model"),
    "no tokenizer model": without("tokenizer.ggml.model"),
    "unknown tokenizer": fact("tokenizer.ggml.model", "mine"),
    "tokenizer llama without scores": fact("tokenizer.ggml.model", "llama"),
    "tokenizer bert": fact("tokenizer.ggml.model", "bert"),
    "tokenizer t5": fact("tokenizer.ggml.model", "t5"),
    "tokenizer t5 with a bad map": all_of(
        fact("tokenizer.ggml.model", "t5"),
        fact("tokenizer.ggml.scores", [0.0] * 661),
        fact("tokenizer.ggml.precompiled_charsmap", [0x7FFFFFFF] * 64),
    ),
    "tokenizer rwkv": fact("tokenizer.ggml.model", "rwkv"),
    "unknown pre-tokenizer": fact("tokenizer.ggml.pre", "mine"),
    "no merges": without(MERGES),
    "one merge of one word": fact(MERGES, ["alone"]),
    "empty merges": fact(MERGES, [""] * 400),
    "merges of nothing": fact(MERGES, [" "] * 400),
    "merges of unknown words": fact(MERGES, ["zzz qqq"] * 400),
    "three types": kept(TYPES, 3),
    "too many types": kept(TYPES, 5000),
    "types out of range": fact(TYPES, [99] * 661),
    "types below zero": fact(TYPES, [-1] * 661),
    "three scores": fact("tokenizer.ggml.scores", [0.0] * 3),
    "one token": kept(TOKENS, 1),
    "tokens of 60 KB": first_tokens("a" * 60_000, "b" * 60_000),
    "a token with NUL": first_tokens("a\0b"),
    "bos beyond the vocabulary": fact("tokenizer.ggml.bos_token_id", 10**6),
    "eos 2^32-1": fact("tokenizer.ggml.eos_token_id", 2**32 - 1),
    "eot below zero": fact("tokenizer.ggml.eot_token_id", -5),
    "eos as text": fact("tokenizer.ggml.eos_token_id", "end"),
    "add_bos as text": fact("tokenizer.ggml.add_bos_token", "yes"),
    "every token ends": all_of(fact(TYPES, [3] * 661), filled("output.weight", 0.0)),
}

TEMPLATES: dict[str, Change] = {
    "template that does not parse": fact(TEMPLATE, "{% for %}"),
    "template without an end": fact(TEMPLATE, "{% if a %}"),
    "template nested too deep": fact(TEMPLATE, "{% if 1 %}" * 500 + "{% endif %}" * 500),
    "template of brackets": fact(TEMPLATE, "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"),
    "template that never ends": fact(TEMPLATE, NESTED_LOOPS),
    "template that wants memory": fact(TEMPLATE, "{{ 'x' * 10**12 }}"),
    "template that writes much": fact(TEMPLATE, "{{ 'x' * 10**8 }}"),
    "template of a large range": fact(TEMPLATE, "{% for a in range(10**9) %}a{% endfor %}"),
    "template that calls itself": fact(TEMPLATE, "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
    "template that raises": fact(TEMPLATE, "{{ raise_exception('no') }}"),
    "template that divides by zero": fact(TEMPLATE, "{{ 1 // 0 }}"),
    "template that reads classes": fact(TEMPLATE, "{{ ''.__class__.__mro__[1] }}"),
    "template that reads globals": fact(
        TEMPLATE, "{{ raise_exception.__globals__['os'].environ }}"
    ),
    "template that imports": fact(TEMPLATE, "{% import '/etc/passwd' as x %}"),
    "template that includes": fact(TEMPLATE, "{% include '/etc/passwd' %}"),
    "template that changes messages": fact(TEMPLATE, "{{ messages.clear() }}"),
    "template that is silent": fact(TEMPLATE, ""),
    "template of 100 KB": fact(TEMPLATE, "{{ 1 }}" * 14_000),
    "template of a power": fact(TEMPLATE, "{{ 10**(10**9) }}"),
}

HOSTILE: dict[str, Change] = {**SHAPES, **TENSORS, **TOKENIZERS, **TEMPLATES}
