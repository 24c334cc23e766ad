"""Embedders in a folder of the Hub's kind: ``config.json``, ``model.safetensors``, ``tokenizer.json``.

The tensors have the names of transformers there, and are given out by those of GGUF, which the network is
written in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import ArtifactMissingError, UnsafeModelFileError
from engines.fit.memory import PROCESS_BYTES
from engines.gguf.header import shown
from engines.gguf.safetensors import (
    FLOATS,
    NUMBERS,
    StoredTensor,
    load_tensor,
    read_safetensors,
)
from engines.runtimes.model_files import CONFIG, read_config
from engines.runtimes.openvino.bert import (
    BATCH_TOKENS,
    BERT,
    GTE,
    MOST_TOKENS,
    NOMIC,
    BertShape,
    refuse,
)
from engines.runtimes.openvino.configuration import read_network
from engines.runtimes.openvino.sentence_rules import SentenceRules, read_rules

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
MAX_TOKENIZER_BYTES = 64 * 1024**2
_FLOAT = 4
_RESIDENT_COPIES = 2
_ROWS, _INNER, _SCORES = 8, 4, 2
"""Of each token at the same time: vectors, those of the inner layer, and for each head what it looks at."""
ADVICE = "Save the model again as safetensors, or choose another one."
WORDS = "embeddings.word_embeddings.weight"
PREFIXES = ("", "bert.", "roberta.", "new.", "model.")
"""Before all names, where a model was saved together with a head."""
LEFT_OUT = re.compile(
    r"(\w+\.)?(pooler\.|cls\.|lm_head\.|classifier\.|embeddings\.(position|token_type)_ids$)"
)
"""What comes after the rows that are pooled, and numbers that anybody can count."""
OLD_NAMES = {"gamma": "weight", "beta": "bias"}
_TABLES = {
    "token_embd": "embeddings.word_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
}
_LAYERS = {
    BERT: (
        "encoder.layer",
        {
            "attn_q": "attention.self.query",
            "attn_k": "attention.self.key",
            "attn_v": "attention.self.value",
            "attn_output": "attention.output.dense",
            "attn_output_norm": "attention.output.LayerNorm",
            "ffn_up": "intermediate.dense",
            "ffn_down": "output.dense",
            "layer_output_norm": "output.LayerNorm",
        },
    ),
    NOMIC: (
        "encoder.layers",
        {
            "attn_qkv": "attn.Wqkv",
            "attn_output": "attn.out_proj",
            "attn_output_norm": "norm1",
            "ffn_up": "mlp.fc11",
            "ffn_gate": "mlp.fc12",
            "ffn_down": "mlp.fc2",
            "layer_output_norm": "norm2",
        },
    ),
    GTE: (
        "encoder.layer",
        {
            "attn_qkv": "attention.qkv_proj",
            "attn_output": "attention.o_proj",
            "attn_output_norm": "attn_ln",
            "ffn_up": "mlp.up_gate_proj",
            "ffn_down": "mlp.down_proj",
            "layer_output_norm": "mlp_ln",
        },
    ),
}
"""Where layers are, and each part of one by its name in GGUF."""


@dataclass(frozen=True, slots=True)
class EmbedderFolder:
    """A folder's embedder, read and checked; its weights stay where they are."""

    path: Path
    shape: BertShape
    rules: SentenceRules
    tensors: Mapping[str, StoredTensor]
    """By their names in GGUF."""
    first_position: int

    @property
    def limit(self) -> int:
        """The longest text in tokens that it reads at once."""
        return min(self.rules.max_tokens or MOST_TOKENS, self.shape.positions, MOST_TOKENS)

    @property
    def work_bytes(self) -> int:
        """Memory in which one batch of texts is computed."""
        shape, tokens = self.shape, max(self.limit, BATCH_TOKENS)
        rows = tokens * (_ROWS * shape.width + _INNER * shape.feed_forward)
        return _FLOAT * (rows + _SCORES * shape.heads * tokens * self.limit)

    @property
    def resident_bytes(self) -> int:
        """Memory that it takes while it is loaded: the weights as read and as packed, and all beside them."""
        return _RESIDENT_COPIES * _FLOAT * self.shape.elements + PROCESS_BYTES

    @property
    def names(self) -> AbstractSet[str]:
        return self.tensors.keys()

    def floats(self, name: str) -> NDArray[np.float32]:
        """Return a tensor as GGUF has it, the slowest axis first."""
        numbers = load_tensor((self.path / WEIGHTS).resolve(), self.tensors[name])
        if name.startswith("position_embd."):
            numbers = numbers[self.first_position :]
        if self.shape.architecture == GTE and name.endswith("ffn_up.weight"):
            # The gate's half first, as in the other network that has both in one matrix.
            numbers = np.concatenate(np.split(numbers, 2)[::-1])
        return np.ascontiguousarray(numbers, np.float32)


def read_folder(path: Path) -> EmbedderFolder:
    """Return the embedder of a folder; nothing of its tensors is read.

    Raises ArtifactMissingError, UnsafeModelFileError for malformed files, and InvalidRequestError with why it
    is not computed.
    """
    for name in (CONFIG, WEIGHTS, TOKENIZER):
        if not (path / name).is_file():
            raise ArtifactMissingError(
                f"{path.name} holds no {name}; bring the whole model, with its weights in one "
                "safetensors file and its tokenizer as tokenizers saves it."
            )
    if (path / TOKENIZER).stat().st_size > MAX_TOKENIZER_BYTES:
        raise UnsafeModelFileError(
            f"The {TOKENIZER} of {path.name} is larger than that of any such model."
        )
    stated = read_network(read_config(path / CONFIG))
    stored = read_safetensors((path / WEIGHTS).resolve(), NUMBERS, ADVICE)
    tensors = _match(stored, stated.shape, stated.first_position)
    rules = read_rules(path, stated.shape.width)
    elements = sum(math.prod(tensor.shape) for tensor in tensors.values())
    shape = replace(stated.shape, elements=elements, pooling=rules.pooling)
    return EmbedderFolder(path, shape, rules, tensors, stated.first_position)


def folder_facts(path: Path) -> dict[str, int | str]:
    """Return what a folder's files say, as a catalog keeps it; raises what ``read_folder`` says."""
    folder = read_folder(path)
    rules = folder.rules
    said = {
        "pooling": rules.pooling,
        "query_prompt": rules.query_prompt,
        "document_prompt": rules.document_prompt,
    }
    return {
        "architecture": folder.shape.architecture,
        "context_length": folder.limit,
        "embedding_length": folder.shape.width,
        "resident_bytes": folder.resident_bytes,
        **{name: value for name, value in said.items() if value},
    }


def _match(
    stored: Mapping[str, StoredTensor], shape: BertShape, first: int
) -> dict[str, StoredTensor]:
    """Return the network's tensors by their names in GGUF; all others must be known not to matter."""
    prefix = next((each for each in PREFIXES if each + WORDS in stored), "")
    there = {_plain(name.removeprefix(prefix)): tensor for name, tensor in stored.items()}
    wanted, found = dict(shape.tensors()), {}
    for name, source in _names(shape):
        if source not in there:
            refuse(f"it has no tensor {source}")
        found[name] = there.pop(source)
    unknown = sorted(name for name in there if not LEFT_OUT.match(name))
    if unknown:
        refuse(f"nobody knows what its tensor {shown(unknown[0])} is for")
    for name, tensor in found.items():
        _check_tensor(name, tensor, wanted[name], first if name.startswith("position_embd.") else 0)
    return found


def _names(shape: BertShape) -> Iterator[tuple[str, str]]:
    """Each tensor's name in GGUF and in transformers."""
    folder, parts = _LAYERS[shape.architecture]
    for name in dict(shape.tensors()):
        stem, _, kind = name.rpartition(".")
        if stem == "token_embd_norm" and shape.architecture == NOMIC:
            yield name, f"emb_ln.{kind}"
        elif stem in _TABLES:
            yield name, f"{_TABLES[stem]}.{kind}"
        else:
            _, number, part = stem.split(".")
            yield name, f"{folder}.{number}.{parts[part]}.{kind}"


def _plain(name: str) -> str:
    """Norms of the oldest models call their numbers otherwise."""
    stem, _, kind = name.rpartition(".")
    return f"{stem}.{OLD_NAMES[kind]}" if stem and kind in OLD_NAMES else name


def _check_tensor(name: str, tensor: StoredTensor, shape: tuple[int, ...], more: int) -> None:
    if tensor.kind not in FLOATS:
        refuse(f"{name} holds no fractions")
    wanted = (shape[-1] + more, *shape[-2::-1])
    if len(tensor.shape) != len(wanted) or any(
        want and have != want for have, want in zip(tensor.shape, wanted, strict=True)
    ):
        refuse(f"{name} has another shape")
