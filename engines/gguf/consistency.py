"""Checks over a whole header: what it declares must fit the file and the engine that will load it."""

from __future__ import annotations

from engines.gguf import limits
from engines.gguf.cursor import refuse
from engines.gguf.header import GgufHeader, TensorInfo, shown
from engines.gguf.layout import padding

_WITHOUT_ATTENTION = frozenset(
    {"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"},
)


def check_header(header: GgufHeader, file_size: int) -> None:
    """Raises UnsafeModelFileError when names, places or counts contradict the file or each other."""
    _check_names(header)
    _check_places(header, file_size)
    _check_architecture(header)
    header.facts()


def _check_names(header: GgufHeader) -> None:
    names = {tensor.name for tensor in header.tensors}
    if "" in names:
        refuse("a tensor has no name")
    if len(names) != len(header.tensors):
        refuse("two tensors have the same name")


def _check_places(header: GgufHeader, file_size: int) -> None:
    # Tensors that share bytes are of no use to anybody but someone who looks for a fault in a loader.
    end = 0
    for tensor in sorted(header.tensors, key=lambda tensor: tensor.offset):
        _check_offset(tensor, header.alignment)
        if tensor.offset < end:
            refuse(f"tensor {shown(tensor.name)} overlaps the one before it")
        end = tensor.offset + tensor.byte_count
    if header.tensors:
        _check_end(header.data_offset + end, header.alignment, file_size)


def _check_offset(tensor: TensorInfo, alignment: int) -> None:
    if tensor.offset % alignment:
        refuse(f"tensor {shown(tensor.name)} does not begin at a multiple of {alignment}")


def _check_end(end: int, alignment: int, file_size: int) -> None:
    if end > file_size:
        refuse(f"its tensors need {end} bytes and the file has {file_size}")
    # What lies behind the last tensor was checked by nobody.
    if file_size > end + padding(end, alignment):
        refuse(f"its tensors end at byte {end} and the file goes on to {file_size}")


def _check_architecture(header: GgufHeader) -> None:
    architecture = header.architecture
    if 0 < header.number("split.no") < header.number("split.count"):
        # A later part has tensors only; parts.py judges it together with the first.
        return
    if not architecture:
        refuse("general.architecture is missing")
    if header.is_adapter:
        # An adapter has no layers of its own; adapters.py compares it with its base.
        return
    blocks = header.number(f"{architecture}.block_count")
    if not 1 <= blocks <= limits.MAX_BLOCKS:
        refuse(f"block_count is {blocks} and must be between 1 and {limits.MAX_BLOCKS}")
    heads = header.number(f"{architecture}.attention.head_count")
    if heads < 1 and architecture not in _WITHOUT_ATTENTION:
        refuse(f"attention.head_count is {heads} and must be at least 1")
