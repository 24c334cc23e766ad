"""Our own reader of safetensors files, of adapters and of models: what is in them and where, within limits.

Layout: the safetensors format: 8 bytes little endian with the header's length, a JSON header,
then the tensors' bytes without holes. Nothing in such a file is ever executed.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import ArtifactMissingError, UnsafeModelFileError
from engines.files.durable import open_regular
from engines.gguf.header import shown

MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_TENSORS = 16_384
MAX_DIMENSIONS = 4
MAX_ELEMENTS = 2**31
_LENGTH = struct.Struct("<Q")
_METADATA = "__metadata__"
OF_ADAPTER = "Save the adapter again, or convert it to GGUF."
_FIELDS = frozenset({"dtype", "shape", "data_offsets"})
_LAYOUTS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8"}
"""Kinds of numbers as NumPy reads them."""
FLOATS = frozenset({"F32", "F16", "BF16"})
"""The kinds that adapters are saved in."""
NUMBERS = FLOATS | {"I64"}
"""Those of models, some of which hold the numbers of their positions as well."""


class _MalformedError(Exception):
    """What is wrong with a file, in words that go into a sentence."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor's kind, its shape as saved, and its first byte in the file."""

    kind: str
    shape: tuple[int, ...]
    start: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def byte_count(self) -> int:
        return self.count * np.dtype(_LAYOUTS[self.kind]).itemsize


def read_safetensors(
    path: Path, kinds: frozenset[str] = FLOATS, advice: str = OF_ADAPTER
) -> dict[str, StoredTensor]:
    """Return the tensors of a file by name, of these ``kinds``; their bytes are not read.

    Raises UnsafeModelFileError that names what is malformed or beyond a limit, and ``advice``; ArtifactMissingError.
    """
    try:
        return _read(path, kinds)
    except _MalformedError as error:
        raise UnsafeModelFileError(
            f"The safetensors file is not read: {error}. {advice}"
        ) from error


def _read(path: Path, kinds: frozenset[str]) -> dict[str, StoredTensor]:
    try:
        stream = open_regular(path)
    except OSError as error:
        raise ArtifactMissingError(f"{path.name} cannot be read ({error.strerror}).") from error
    with stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(_LENGTH.size)
        if len(start) < _LENGTH.size:
            _refuse("it ends before its header")
        (length,) = _LENGTH.unpack(start)
        # Before reading: the length is the file's own claim.
        if length > min(MAX_HEADER_BYTES, size - _LENGTH.size):
            _refuse(f"its header would have {length} bytes")
        entries = _parse(stream.read(length))
    first = _LENGTH.size + length
    tensors = {name: _tensor(name, entry, first, kinds) for name, entry in entries.items()}
    _check_places(list(tensors.values()), first, size)
    return tensors


def load_tensor(path: Path, tensor: StoredTensor) -> NDArray[Any]:
    """Return a tensor as float16 or float32, mapped from the file; bfloat16 becomes float32."""
    kind = np.dtype(_LAYOUTS[tensor.kind])
    stored = np.asarray(np.memmap(path, kind, "r", offset=tensor.start, shape=tensor.shape))
    if tensor.kind == "BF16":
        # bfloat16 is the upper half of a float32.
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored


def _parse(text: bytes) -> dict[str, object]:
    try:
        header = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        _refuse(f"its header is not JSON ({type(error).__name__})")
    if not isinstance(header, dict):
        _refuse("its header is not a JSON object")
    header.pop(_METADATA, None)
    if not 0 < len(header) <= MAX_TENSORS:
        _refuse(f"it names {len(header)} tensors")
    return header


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    # json keeps the last of two equal keys; another reader might keep the first.
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse("its header names something twice")
    return found


def _tensor(name: str, entry: object, first: int, kinds: frozenset[str]) -> StoredTensor:
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        _refuse(f"{shown(name)} is not described as a tensor")
    kind = str(entry["dtype"])
    if kind not in kinds:
        _refuse(f"{shown(name)} holds {shown(kind)}, not one of {', '.join(sorted(kinds))}")
    shape = _counts(name, entry["shape"])
    if len(shape) > MAX_DIMENSIONS or not 0 < math.prod(shape) <= MAX_ELEMENTS:
        _refuse(f"{shown(name)} has a shape no such tensor has")
    offsets = _counts(name, entry["data_offsets"])
    tensor = StoredTensor(kind, shape, first + offsets[0])
    if offsets[1:] != (offsets[0] + tensor.byte_count,):
        _refuse(f"{shown(name)} has other bytes than its shape needs")
    return tensor


def _counts(name: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(item) is int and item >= 0 for item in value):
        _refuse(f"{shown(name)} is not described in whole numbers")
    if not value:
        _refuse(f"{shown(name)} has no shape")
    return tuple(value)


def _check_places(tensors: list[StoredTensor], first: int, size: int) -> None:
    """Refuse tensors that overlap or leave bytes unused: such bytes could hide something."""
    at = first
    for tensor in sorted(tensors, key=lambda tensor: tensor.start):
        if tensor.start != at:
            _refuse("its tensors overlap or leave holes")
        at += tensor.byte_count
    if at != size:
        _refuse(f"its tensors end at byte {at} and the file at {size}")


def _refuse(reason: str) -> NoReturn:
    raise _MalformedError(reason)
