"""Writes small GGUF version 3 files with the same bytes for the same input."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import InvalidRequestError
from engines.gguf.layout import (
    DEFAULT_ALIGNMENT,
    MAGIC,
    SCALAR_FORMATS,
    TENSOR_F16,
    TENSOR_F32,
    WRITTEN_VERSION,
    ValueKind,
    padding,
)

Scalar = bool | int | float | str | np.uint16 | np.int32
"""A number of numpy's is stored as its own kind."""
Metadata = Mapping[str, Scalar | Sequence[Scalar]]
Tensors = Mapping[str, NDArray[Any]]
_TENSOR_TYPES = {np.dtype(np.float32): TENSOR_F32, np.dtype(np.float16): TENSOR_F16}
_U32_END = 2**32
_I32_LIMIT = 2**31


def write_gguf(path: Path, metadata: Metadata, tensors: Tensors) -> Path:
    """Write ``path`` whole or not at all.

    Whole numbers become UINT32 (INT32 in arrays or below zero, 64 bits when they need them), other
    numbers FLOAT32. ``tensors`` are float32 or float16 arrays, last axis contiguous as in the file.
    Raises InvalidRequestError for an empty or mixed array and for any other element type.
    """
    header = header_bytes(metadata, tensors)
    # Renamed at the end, so a reader never sees half a file; the pid keeps two writers apart.
    staged = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with staged.open("wb") as file:
            file.write(header)
            for tensor in tensors.values():
                _write_tensor(file, tensor)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    return path


def header_bytes(metadata: Metadata, tensors: Tensors) -> bytes:
    """Return what ``write_gguf`` writes before the weights; of the tensors only shapes and types are read."""
    parts = [MAGIC, struct.pack("<IQQ", WRITTEN_VERSION, len(tensors), len(metadata))]
    parts += [_string(key) + _value(key, value) for key, value in metadata.items()]
    parts += _tensor_infos(tensors)
    header = b"".join(parts)
    return header + bytes(padding(len(header), DEFAULT_ALIGNMENT))


def _tensor_infos(tensors: Tensors) -> Iterable[bytes]:
    offset = 0
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]  # the file counts the fastest axis first
        dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        yield _string(name) + dimensions + struct.pack("<IQ", _tensor_type(name, tensor), offset)
        offset += tensor.nbytes + padding(tensor.nbytes, DEFAULT_ALIGNMENT)


def _tensor_type(name: str, tensor: NDArray[Any]) -> int:
    if tensor.dtype not in _TENSOR_TYPES:
        raise InvalidRequestError(
            f"Tensor {name} holds {tensor.dtype}; convert it to float32 or float16 before writing."
        )
    return _TENSOR_TYPES[tensor.dtype]


def _write_tensor(file: BinaryIO, tensor: NDArray[Any]) -> None:
    file.write(np.ascontiguousarray(tensor).tobytes())
    file.write(bytes(padding(tensor.nbytes, DEFAULT_ALIGNMENT)))


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(key: str, value: Scalar | Sequence[Scalar]) -> bytes:
    if isinstance(value, Scalar):
        kind = _scalar_kind(value)
        return struct.pack("<I", kind) + _scalar(kind, value)
    kind = _element_kind(key, value)
    head = struct.pack("<IIQ", ValueKind.ARRAY, kind, len(value))
    return head + b"".join(_scalar(kind, element) for element in value)


def _scalar_kind(value: Scalar) -> ValueKind:
    if isinstance(value, np.uint16):
        return ValueKind.UINT16
    if isinstance(value, np.int32):
        return ValueKind.INT32
    if isinstance(value, bool):
        return ValueKind.BOOL
    if isinstance(value, str):
        return ValueKind.STRING
    if isinstance(value, float):
        return ValueKind.FLOAT32
    if value < 0:
        return ValueKind.INT32 if value >= -_I32_LIMIT else ValueKind.INT64
    return ValueKind.UINT32 if value < _U32_END else ValueKind.UINT64


def _element_kind(key: str, values: Sequence[Scalar]) -> ValueKind:
    if len({type(value) for value in values}) != 1:
        raise InvalidRequestError(
            f"Metadata array {key} must hold at least one value and only values of one type."
        )
    first = values[0]
    if isinstance(first, int) and not isinstance(first, bool):
        return ValueKind.INT32
    return _scalar_kind(first)


def _scalar(kind: ValueKind, value: Scalar) -> bytes:
    if isinstance(value, str):
        return _string(value)
    return struct.pack(f"<{SCALAR_FORMATS[kind]}", value)
