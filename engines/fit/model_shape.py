"""The part of a model's header that decides how much memory it needs; small enough for a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from engines.exceptions import UnsafeModelFileError
from engines.fit import architectures
from engines.fit.layers import (
    Hyperparameters,
    LayerMemory,
    attention_width,
    read_layers,
    recurrent_width,
)
from engines.gguf.header import GgufHeader, TensorInfo

_LAYER = re.compile(r"blk\.([0-9]{1,4})\.")
_TABLE = "token_embd.weight"
_OUTPUT = "output.weight"
_EXPERTS = "_exps."
_GATES = ("ffn_gate.weight", "ffn_gate_exps.weight", "ffn_gate_up_exps.weight")


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes in bytes, widths in elements; layers in their order."""

    architecture: str
    context_length: int
    """What the model was trained on, in tokens; 0 where the file is silent."""
    layers: tuple[LayerMemory, ...]
    layer_bytes: tuple[int, ...]
    table_bytes: int
    """The token table; it stays in main memory when layers go to a GPU."""
    output_bytes: int
    """Everything that belongs to no layer, without the table."""
    is_tied: bool
    """Whether the table is the output matrix too; a GPU then holds a second copy."""
    active_bytes: int
    """Weights read for each token: of a mixture's experts only those that are used."""
    vocabulary: int
    width: int
    attention_width: int
    key_value_width: int
    feed_forward: int
    """Of all experts that one token uses."""
    heads: int
    is_exact: bool
    """False where the cache is only known from above."""
    looks_back: bool = False
    """Whether a token sees the tokens before it only, so that a text can be read by pieces; False also
    for shapes that were stored before this was asked."""
    is_gated: bool = True
    """Whether the feed-forward part has a gate beside the way up."""
    experts: int = 1
    """How many experts one token uses; 1 where there are none."""
    recurrent_width: int = 0
    """Of a layer that keeps a state, between its projections."""
    deepstack_width: int = 0
    """Of what an image adds to the first layers; it is set aside for texts as well."""

    @classmethod
    def from_header(cls, header: GgufHeader) -> Self:
        """Raises UnsafeModelFileError for numbers no model has, or for an adapter."""
        if header.is_adapter:
            raise UnsafeModelFileError(
                "The file is an adapter, not a model; judge the model it was made for."
            )
        values = Hyperparameters(header)
        layers = read_layers(header)
        sizes = _sizes(header.tensors, len(layers))
        return cls(
            architecture=header.architecture,
            context_length=values.get("context_length"),
            layers=layers,
            layer_bytes=sizes.layers,
            table_bytes=sizes.table,
            output_bytes=sizes.rest,
            is_tied=not sizes.has_output,
            active_bytes=_active_bytes(header.tensors, values, len(layers)),
            vocabulary=_vocabulary(header.tensors) or header.facts().vocab_size,
            width=values.get("embedding_length"),
            attention_width=attention_width(values),
            key_value_width=max((layer.keys + layer.values for layer in layers), default=0),
            feed_forward=_feed_forward(header.tensors, values),
            heads=values.get("attention.head_count"),
            is_exact=header.architecture not in architectures.UPPER_BOUND_ONLY,
            looks_back=looks_back(header),
            is_gated=_is_gated(header.tensors),
            experts=max(values.get("expert_used_count"), 1),
            recurrent_width=recurrent_width(values),
            deepstack_width=values.get("n_deepstack_layers") * values.get("embedding_length"),
        )

    @property
    def has_head(self) -> bool:
        """Whether each batch ends in the output matrix."""
        return architectures.writes(self.architecture)

    @property
    def weights_bytes(self) -> int:
        return self.table_bytes + self.output_bytes + sum(self.layer_bytes)

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON; ``from_dict`` reads them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        layers = tuple(LayerMemory(**layer) for layer in stored["layers"])
        return cls(**{**stored, "layers": layers, "layer_bytes": tuple(stored["layer_bytes"])})


@dataclass(slots=True)
class _Sizes:
    layers: tuple[int, ...]
    table: int = 0
    rest: int = 0
    has_output: bool = False


def _sizes(tensors: Iterable[TensorInfo], layer_count: int) -> _Sizes:
    """Add up the tensors; those of prediction layers after the last one are never loaded."""
    layers = [0] * layer_count
    sizes = _Sizes(())
    for tensor in tensors:
        found = _LAYER.match(tensor.name)
        if found is None:
            sizes.table += tensor.byte_count if tensor.name == _TABLE else 0
            sizes.rest += tensor.byte_count if tensor.name != _TABLE else 0
            sizes.has_output |= tensor.name == _OUTPUT
        # Prediction layers behind the last one are in the file and not loaded.
        elif int(found[1]) < layer_count:
            layers[int(found[1])] += tensor.byte_count
    sizes.layers = tuple(layers)
    return sizes


def _active_bytes(tensors: Iterable[TensorInfo], values: Hyperparameters, layer_count: int) -> int:
    """Everything but the table, which is read for each token only where it is the output too."""
    used, count = values.get("expert_used_count"), max(values.get("expert_count"), 1)
    names = {tensor.name for tensor in tensors}
    total = 0
    for tensor in tensors:
        found = _LAYER.match(tensor.name)
        if found is not None and int(found[1]) >= layer_count:
            continue
        if tensor.name == _TABLE and _OUTPUT in names:
            continue
        is_expert = _EXPERTS in tensor.name
        total += tensor.byte_count * used // count if is_expert else tensor.byte_count
    return total


def looks_back(header: GgufHeader) -> bool:
    """Return whether a token of this model sees the tokens before it only."""
    if architectures.sees_texts_whole(header.architecture):
        return False
    return header.metadata.get(f"{header.architecture}.attention.causal") is not False


def _vocabulary(tensors: Iterable[TensorInfo]) -> int:
    table = next((tensor for tensor in tensors if tensor.name == _TABLE), None)
    return table.shape[1] if table is not None and len(table.shape) > 1 else 0


def _is_gated(tensors: Iterable[TensorInfo]) -> bool:
    up = down = 0
    for tensor in tensors:
        # By its whole name: a mixture's router is called ffn_gate_inp.
        if tensor.name.endswith(_GATES):
            return True
        if tensor.name.endswith("ffn_up.weight") and len(tensor.shape) > 1:
            up = max(up, tensor.shape[1])
        elif tensor.name.endswith("ffn_down.weight"):
            down = max(down, tensor.shape[0])
    # Some write the gate and the way up in one.
    return up > down


def _feed_forward(tensors: Iterable[TensorInfo], values: Hyperparameters) -> int:
    """The widest layer's: rows that come back down, of one expert as often as a token uses it."""
    used = values.get("expert_used_count")
    widths = [0]
    for tensor in tensors:
        if tensor.name.endswith("ffn_down.weight"):
            widths.append(tensor.shape[0])
        elif tensor.name.endswith("ffn_down_exps.weight"):
            widths.append(tensor.shape[0] * used)
    return max(widths)
