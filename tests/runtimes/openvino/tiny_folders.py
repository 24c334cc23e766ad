"""Tiny embedders as the Hub has them: random weights by transformers' names, and a tokenizer of some words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from tests.runtimes.openvino.tiny_embedders import WORDS

WIDTH, HEADS, INNER, LAYERS, PLACES = 48, 4, 80, 2, 64
CONTROL = ["<s>", "<pad>", "</s>", "<unk>"]
OPEN, CLOSE = 0, 2
VOCABULARY = len(CONTROL) + len(WORDS)
KINDS = ("bert", "xlm-roberta", "nomic_bert", "new")
NTK = 8.0
Numbers = NDArray[np.float32]
Tensors = dict[str, Numbers]

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
}
_SIZES |= {"num_attention_heads": HEADS, "intermediate_size": INNER, "layer_norm_eps": 1e-12}
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {**_SIZES, "hidden_act": "gelu", "max_position_embeddings": PLACES},
    # Two positions stand before the first one that a text uses.
    "xlm-roberta": {**_SIZES, "max_position_embeddings": PLACES + 2, "pad_token_id": 1},
    "nomic_bert": {
        "vocab_size": VOCABULARY,
        "n_embd": WIDTH,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_inner": INNER,
        "n_positions": PLACES,
        "layer_norm_epsilon": 1e-12,
        "rotary_emb_base": 1000,
        "rotary_emb_fraction": 1.0,
        "activation_function": "swiglu",
        "auto_map": {"AutoModel": "somebody/code--modeling.Model"},
    },
    "new": {
        **_SIZES,
        "max_position_embeddings": PLACES,
        "rope_theta": 20000.0,
        "type_vocab_size": 0,
        "rope_scaling": {"factor": NTK, "type": "ntk"},
    },
}


def write_folder(path: Path, kind: str, **changed: Any) -> Path:
    """Write a model of one kind; ``changed`` is written over its configuration."""
    path.mkdir(parents=True)
    write_json(path / "config.json", {"model_type": kind, **CONFIGS[kind], **changed})
    save_file(make_tensors(kind), path / "model.safetensors")
    write_tokenizer(path / "tokenizer.json")
    return path


def write_rules(
    path: Path, pooling: str = "mean_tokens", *, limit: int = 0, **prompts: str
) -> None:
    """Write what sentence-transformers keeps beside the weights."""
    steps = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
    modules = [
        {"idx": number, "path": place, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, place) in enumerate(steps)
    ]
    write_json(path / "modules.json", modules)
    (path / "1_Pooling").mkdir()
    flags = {"pooling_mode_max_tokens": False, f"pooling_mode_{pooling}": True}
    write_json(path / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **flags})
    write_json(path / "sentence_bert_config.json", {"max_seq_length": limit or PLACES})
    write_json(path / "config_sentence_transformers.json", {"prompts": prompts})


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def write_tokenizer(path: Path) -> None:
    """As its publisher used it: it cuts and fills up, and knows the marks of its training in any text."""
    names = [*CONTROL, *WORDS]
    words = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in CONTROL])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair=None, special_tokens=[("<s>", OPEN), ("</s>", CLOSE)]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(path))


def make_tensors(kind: str) -> Tensors:
    return dict(_tensors(kind))


def _tensors(kind: str) -> Iterator[tuple[str, Any]]:
    dice = _Dice()
    yield dice.table("word_embeddings", VOCABULARY)
    if kind != "new":
        yield dice.table("token_type_embeddings", 2)
    if kind in ("bert", "xlm-roberta"):
        yield dice.table("position_embeddings", CONFIGS[kind]["max_position_embeddings"])
        # What the network does not need, as real files have it.
        yield "embeddings.position_ids", np.arange(PLACES)[None]
        yield from dice.product("pooler.dense", WIDTH, WIDTH)
    yield from dice.norm("emb_ln" if kind == "nomic_bert" else "embeddings.LayerNorm")
    layer = {"nomic_bert": _nomic_layer, "new": _gte_layer}.get(kind, _bert_layer)
    for number in range(LAYERS):
        yield from layer(dice, number)


class _Dice:
    """Random numbers of a size that keeps rows apart."""

    def __init__(self) -> None:
        self._dice = np.random.default_rng(7)

    def product(self, name: str, into: int, out: int, *, bias: bool = True) -> Iterator[Any]:
        yield f"{name}.weight", self._numbers(0, into**-0.5, (out, into))
        if bias:
            yield f"{name}.bias", self._numbers(0, 0.1, (out,))

    def norm(self, name: str) -> Iterator[Any]:
        yield f"{name}.weight", self._numbers(1, 0.1, (WIDTH,))
        yield f"{name}.bias", self._numbers(0, 0.1, (WIDTH,))

    def table(self, name: str, rows: int) -> tuple[str, Numbers]:
        return f"embeddings.{name}.weight", self._numbers(0, 1, (rows, WIDTH))

    def _numbers(self, mean: float, spread: float, shape: tuple[int, ...]) -> Numbers:
        return self._dice.normal(mean, spread, shape).astype(np.float32)


def _nomic_layer(dice: _Dice, number: int) -> Iterator[Any]:
    at = f"encoder.layers.{number}"
    yield from dice.product(f"{at}.attn.Wqkv", WIDTH, 3 * WIDTH, bias=False)
    yield from dice.product(f"{at}.attn.out_proj", WIDTH, WIDTH, bias=False)
    for name in ("fc11", "fc12"):
        yield from dice.product(f"{at}.mlp.{name}", WIDTH, INNER, bias=False)
    yield from dice.product(f"{at}.mlp.fc2", INNER, WIDTH, bias=False)
    yield from dice.norm(f"{at}.norm1")
    yield from dice.norm(f"{at}.norm2")


def _gte_layer(dice: _Dice, number: int) -> Iterator[Any]:
    at = f"encoder.layer.{number}"
    yield from dice.product(f"{at}.attention.qkv_proj", WIDTH, 3 * WIDTH)
    yield from dice.product(f"{at}.attention.o_proj", WIDTH, WIDTH)
    yield from dice.product(f"{at}.mlp.up_gate_proj", WIDTH, 2 * INNER, bias=False)
    yield from dice.product(f"{at}.mlp.down_proj", INNER, WIDTH)
    yield from dice.norm(f"{at}.attn_ln")
    yield from dice.norm(f"{at}.mlp_ln")


def _bert_layer(dice: _Dice, number: int) -> Iterator[Any]:
    at = f"encoder.layer.{number}"
    for name in ("self.query", "self.key", "self.value", "output.dense"):
        yield from dice.product(f"{at}.attention.{name}", WIDTH, WIDTH)
    yield from dice.product(f"{at}.intermediate.dense", WIDTH, INNER)
    yield from dice.product(f"{at}.output.dense", INNER, WIDTH)
    yield from dice.norm(f"{at}.attention.output.LayerNorm")
    yield from dice.norm(f"{at}.output.LayerNorm")
