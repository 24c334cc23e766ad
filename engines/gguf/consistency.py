"""Checks over a whole header: what it declares must fit the file and the engine that will load it."""

from __future__ import annotations

from engines.exceptions import UnsafeModelFileError
from engines.gguf import limits
from engines.gguf.cursor import refuse
from engines.gguf.header import GgufHeader, TensorInfo, shown
from engines.gguf.layout import padding

_WITHOUT_ATTENTION = frozenset(
    {"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"},
)


READS_PICTURES = "the part of a model that reads pictures or sound"
COMPANIONS = {
    "mmproj": READS_PICTURES,
    "clip": READS_PICTURES,
    "imatrix": "a record of how a model was quantised",
    "controlvector": "a control vector, which changes how a model writes",
}
"""What lies beside models in files of the same format, by its type or architecture."""
_NOT_RUN = {
    "t5": "an encoder and a decoder (T5)",
    "eagle3": "a draft, which guesses ahead for another model",
    "gemma4-assistant": "a draft, which guesses ahead for another model",
}
"""What llama.cpp loads and SAM cannot ask: its first batch ends the process."""


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
        refuse(
            f"its tensors need {end} bytes and the file has {file_size}; it is still being written, or its "
            "download broke off"
        )
    # What lies behind the last tensor was checked by nobody.
    if file_size > end + padding(end, alignment):
        refuse(f"its tensors end at byte {end} and the file goes on to {file_size}")


def _check_architecture(header: GgufHeader) -> None:
    architecture = header.architecture
    _check_kind(header)
    if 0 < header.number("split.no") < header.number("split.count"):
        # A later part has tensors only; parts.py judges it together with the first.
        return
    if not architecture:
        refuse("general.architecture is missing")
    if header.is_adapter:
        # An adapter has no layers of its own; adapters.py compares it with its base.
        return
    blocks = header.number(f"{architecture}.block_count")
    if f"{architecture}.block_count" not in header.metadata:
        # Pictures, speech and the like are kept in this format as well.
        raise UnsafeModelFileError(
            f"The file holds a model of the kind {shown(architecture)}, which states no block_count as models "
            "do that write or embed text; choose another model."
        )
    if not 1 <= blocks <= limits.MAX_BLOCKS:
        refuse(f"block_count is {blocks} and must be between 1 and {limits.MAX_BLOCKS}")
    heads = header.number(f"{architecture}.attention.head_count")
    if heads < 1 and architecture not in _WITHOUT_ATTENTION:
        refuse(f"attention.head_count is {heads} and must be at least 1")


def _check_kind(header: GgufHeader) -> None:
    """Refuse what is kept in this format and is no model that SAM runs, by what it is."""
    architecture = header.architecture
    companion = COMPANIONS.get(header.text("general.type")) or COMPANIONS.get(architecture)
    if companion is not None:
        raise UnsafeModelFileError(
            f"The file is {companion}, not a model by itself; choose the GGUF file of the model."
        )
    if architecture in _NOT_RUN:
        raise UnsafeModelFileError(
            f"The file holds {_NOT_RUN[architecture]}, which SAM does not run; choose a model that writes by "
            "itself, or one that only embeds."
        )
