"""Whether a LoRA adapter fits a base model, judged by the two headers alone."""

from __future__ import annotations

from typing import NoReturn

from engines.exceptions import AdapterMismatchError
from engines.gguf.header import GgufHeader, TensorInfo, shown
from engines.gguf.limits import MAX_DIMENSIONS

_SUFFIX_A, _SUFFIX_B = ".lora_a", ".lora_b"
_INVOCATION = "adapter.alora.invocation_tokens"
_IGNORED_SUFFIX = "_norm.weight"
_OUTPUT = "output.weight"
_TOKEN_EMBEDDING = "token_embd.weight"  # noqa: S105 - a tensor's name

Shape = tuple[int, ...]


def check_adapter_fits(adapter: GgufHeader, base: GgufHeader) -> int:
    """Return how many tensors of the base it changes; AdapterMismatchError names what does not fit.

    The rules are llama.cpp's: same architecture; each pair names a tensor of the base, and its
    product has that tensor's shape. An adapter that touches nothing is refused as well.
    """
    _check_kinds(adapter, base)
    tensors = {tensor.name: tensor for tensor in base.tensors}
    pairs = _pairs(adapter)
    if not pairs:
        _mismatch("it changes no tensor")
    for name, (low, high) in pairs.items():
        if name not in tensors:
            _mismatch(f"the model has no tensor {shown(name)}")
        if name == _TOKEN_EMBEDDING and _OUTPUT not in tensors:
            # llama.cpp multiplies by the table then, with the halves that were made to be looked up.
            _mismatch("it changes the token table, and the model answers with the same table")
        if not _product_fits(name, low, high, _full(tensors[name].shape)):
            _mismatch(f"its change of {shown(name)} has another shape than the model's tensor")
    return len(pairs)


def _check_kinds(adapter: GgufHeader, base: GgufHeader) -> None:
    if not adapter.is_adapter or adapter.text("adapter.type") != "lora":
        _mismatch("the file is not a LoRA adapter")
    if base.is_adapter:
        _mismatch("the base is an adapter itself")
    if _INVOCATION in adapter.metadata:
        _mismatch("it is activated by certain words, and SAM's engines apply adapters throughout")
    if adapter.architecture != base.architecture:
        _mismatch(
            f"it is for the architecture {shown(adapter.architecture)} "
            f"and the model is {shown(base.architecture)}"
        )


def _pairs(adapter: GgufHeader) -> dict[str, tuple[Shape, Shape]]:
    """Base tensor's name -> shapes of its A and B."""
    shapes = {tensor.name: _full(tensor.shape) for tensor in adapter.tensors}
    names = {_base_name(tensor) for tensor in adapter.tensors if not _ignored(tensor)}
    for name in sorted(names):
        if not {name + _SUFFIX_A, name + _SUFFIX_B} <= shapes.keys():
            _mismatch(f"half of its change of {shown(name)} is missing")
    return {name: (shapes[name + _SUFFIX_A], shapes[name + _SUFFIX_B]) for name in sorted(names)}


def _ignored(tensor: TensorInfo) -> bool:
    return tensor.name.endswith(_IGNORED_SUFFIX)


def _base_name(tensor: TensorInfo) -> str:
    if not tensor.name.endswith((_SUFFIX_A, _SUFFIX_B)):
        _mismatch(f"{shown(tensor.name)} is neither half of a LoRA pair")
    return tensor.name[: -len(_SUFFIX_A)]


def _product_fits(name: str, low: Shape, high: Shape, base: Shape) -> bool:
    if name == _TOKEN_EMBEDDING:
        # The embedding is looked up, not multiplied, so A and B swap their roles.
        return (high[1], low[1]) == base[:2] and low[0] == high[0]
    return (low[0], high[1]) == base[:2] and low[1] == high[0] and low[2:] == high[2:] == base[2:]


def _full(shape: Shape) -> Shape:
    return shape + (1,) * (MAX_DIMENSIONS - len(shape))


def _mismatch(reason: str) -> NoReturn:
    raise AdapterMismatchError(
        f"The adapter does not fit this model: {reason}. "
        "Train it again on this model or go on without it."
    )
