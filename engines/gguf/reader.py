"""The gate for model files: our own GGUF header reader with hard limits.

Libraries that read this format abort or hang on some malformed files, so nothing else opens a file
before it has passed here. Layout: GGUF specification, versions 2 and 3, little endian.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO

from engines.exceptions import ArtifactMissingError, UnsafeModelFileError
from engines.gguf import limits
from engines.gguf.consistency import check_header
from engines.gguf.cursor import Cursor, refuse
from engines.gguf.header import GgufArray, GgufHeader, GgufValue, TensorInfo, shown
from engines.gguf.layout import (
    DEFAULT_ALIGNMENT,
    MAGIC,
    SCALAR_FORMATS,
    TENSOR_BLOCKS,
    ValueKind,
    padding,
)
from engines.gguf.strings import read_texts

_COUNT = struct.Struct("<Q")
_COUNTS = struct.Struct("<QQ")
_NUMBER = struct.Struct("<I")
_PLACE = struct.Struct("<IQ")
_ARRAY_HEAD = struct.Struct("<IQ")
_SHAPES = {count: struct.Struct(f"<{count}Q") for count in range(1, limits.MAX_DIMENSIONS + 1)}
_KINDS = {int(kind): kind for kind in ValueKind}
_SCALARS = {kind: struct.Struct(f"<{code}") for kind, code in SCALAR_FORMATS.items()}
_NEEDED_KINDS = {
    "split.no": ValueKind.UINT16,
    "split.count": ValueKind.UINT16,
    "split.tensors.count": ValueKind.INT32,
}
"""llama.cpp reads these without a look at their kind, and aborts at another."""
_POINTER = b"vers"
"""How the pointers of Git LFS begin."""
_MAX_POINTER_BYTES = 1024
_VERSIONS = (2, 3)
_HIGHEST_VERSION = 0xFFFF


def read_header(source: Path | BinaryIO, *, file_size: int | None = None) -> GgufHeader:
    """Read and check a header; the weights are not read.

    ``file_size`` (bytes) is what the whole file measures, for a stream that holds only its start;
    without it, what is there is measured. Raises UnsafeModelFileError naming the field and the
    limit, ArtifactMissingError when there is no such file.
    """
    if isinstance(source, Path):
        with _open_regular(source) as stream:
            return _read(stream, file_size)
    return _read(source, file_size)


def _open_regular(path: Path) -> BinaryIO:
    """Open a regular file only: a link could leave the store, a pipe could block for ever."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise ArtifactMissingError(
            f"There is no model file {shown(path.name)}; check its path, or download it again."
        ) from error
    except PermissionError as error:
        raise ArtifactMissingError(
            f"{shown(path.name)} cannot be read ({error.strerror}). Let the user who runs SAM read the file "
            "and enter its folder."
        ) from error
    except OSError as error:
        refuse(f"{shown(path.name)} cannot be opened ({error.strerror})")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        refuse(f"{shown(path.name)} is not a regular file")
    return os.fdopen(descriptor, "rb")


def _read(stream: BinaryIO, file_size: int | None) -> GgufHeader:
    cursor = Cursor(stream, _measure(stream) if file_size is None else file_size)
    version = _read_version(cursor)
    tensor_count, entry_count = cursor.unpack(_COUNTS, "the counts")
    _check_count("tensors", tensor_count, limits.MAX_TENSORS)
    _check_count("metadata entries", entry_count, limits.MAX_METADATA_ENTRIES)
    # Both counts are bounded before anything is read: each entry costs memory of ours.
    metadata = _read_metadata(cursor, entry_count)
    alignment = _alignment(metadata)
    tensors = tuple(_read_tensor(cursor) for _ in range(tensor_count))
    data_offset = cursor.position + padding(cursor.position, alignment)
    header = GgufHeader(version, metadata, tensors, alignment, data_offset)
    check_header(header, cursor.size)
    return header


def _measure(stream: BinaryIO) -> int:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


def _read_version(cursor: Cursor) -> int:
    if cursor.size == 0:
        refuse("it is empty")
    magic = cursor.take(len(MAGIC), "the magic number")
    if magic == _POINTER and cursor.size < _MAX_POINTER_BYTES:
        raise UnsafeModelFileError(
            "The file is a pointer, which Git leaves in the place of a large file; run `git lfs pull` in its "
            "repository, or download the file from its publisher's page."
        )
    if magic != MAGIC:
        refuse("it does not begin with GGUF, so it is not a GGUF model")
    (version,) = cursor.unpack(_NUMBER, "the version")
    # The versions are small numbers, so a large one has its bytes in the other order.
    if version > _HIGHEST_VERSION:
        refuse("it is big endian, and only little-endian files can be used")
    if version not in _VERSIONS:
        refuse(f"its version is {version}, and versions 2 and 3 can be read")
    return int(version)


def _check_count(what: str, count: int, limit: int) -> None:
    if count > limit:
        refuse(f"it declares {count} {what} and the limit is {limit}")


def _read_metadata(cursor: Cursor, count: int) -> dict[str, GgufValue]:
    metadata: dict[str, GgufValue] = {}
    for _ in range(count):
        key = cursor.string(limits.MAX_KEY_BYTES, "a metadata key")
        if not key:
            refuse("a metadata key is empty")
        # Another reader may take the first of the two: what was checked would not be what runs.
        if key in metadata:
            refuse(f"the metadata key {shown(key)} appears twice")
        metadata[key] = _read_value(cursor, key)
    return metadata


def _read_value(cursor: Cursor, key: str) -> GgufValue:
    field = shown(key)
    (number,) = cursor.unpack(_NUMBER, field)
    kind = _kind(field, number)
    if kind is not _NEEDED_KINDS.get(key, kind):
        refuse(f"{field} is stored as {kind.name} and must be {_NEEDED_KINDS[key].name}")
    if kind is ValueKind.STRING:
        return cursor.string(_string_limit(key), field)
    if kind is ValueKind.ARRAY:
        return _read_array(cursor, key)
    value: int | float | bool = cursor.unpack(_SCALARS[kind], field)[0]
    return value


def _kind(field: str, number: int) -> ValueKind:
    if number not in _KINDS:
        refuse(f"{field} has the unknown kind {number}")
    return _KINDS[number]


def _string_limit(key: str) -> int:
    if key.startswith("tokenizer.chat_template"):
        return limits.MAX_TEMPLATE_BYTES
    return limits.MAX_STRING_BYTES


def _read_array(cursor: Cursor, key: str) -> GgufArray:
    field = shown(key)
    number, length = cursor.unpack(_ARRAY_HEAD, field)
    kind = _kind(field, number)
    if kind is ValueKind.ARRAY:
        refuse(f"{field} is an array of arrays, and only flat arrays are allowed")
    if kind is ValueKind.STRING:
        # Every text has at least its length before it, so an impossible count ends here at once.
        cursor.require(length * _COUNT.size, field)
        return GgufArray(kind, length, read_texts(cursor, key, length))
    layout = _SCALARS[kind]
    if length > limits.KEPT_ARRAY_VALUES:
        # Scores and types of a vocabulary: nobody asks for them, and they would take most of the memory.
        cursor.skip(length * layout.size, field)
        return GgufArray(kind, length, ())
    data = cursor.take(length * layout.size, field)
    return GgufArray(kind, length, tuple(value for (value,) in layout.iter_unpack(data)))


def _alignment(metadata: dict[str, GgufValue]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if isinstance(alignment, bool) or not isinstance(alignment, int):
        refuse("general.alignment is not a whole number")
    if not 0 < alignment <= limits.MAX_ALIGNMENT or alignment & (alignment - 1):
        refuse(
            f"general.alignment is {alignment} and must be a power of two up to "
            f"{limits.MAX_ALIGNMENT}"
        )
    return alignment


def _read_tensor(cursor: Cursor) -> TensorInfo:
    name = cursor.string(limits.MAX_TENSOR_NAME_BYTES, "a tensor's name")
    field = f"tensor {shown(name)}"
    (dimensions,) = cursor.unpack(_NUMBER, field)
    if not 0 < dimensions <= limits.MAX_DIMENSIONS:
        refuse(f"{field} has {dimensions} dimensions, and 1 to {limits.MAX_DIMENSIONS} are allowed")
    shape = cursor.unpack(_SHAPES[dimensions], field)
    kind, offset = cursor.unpack(_PLACE, field)
    return TensorInfo(name, shape, kind, offset, _byte_count(field, shape, kind))


def _byte_count(field: str, shape: tuple[int, ...], kind: int) -> int:
    if kind not in TENSOR_BLOCKS:
        refuse(f"{field} has the unknown type {kind}")
    _, block_elements, block_bytes = TENSOR_BLOCKS[kind]
    # Python's integers do not overflow; llama.cpp's 64-bit ones would.
    elements = math.prod(shape)
    if not 0 < elements <= limits.MAX_ELEMENTS:
        refuse(f"{field} has a shape whose product is zero or overflows")
    if shape[0] % block_elements:
        refuse(f"{field} has rows that do not fill blocks of {block_elements}")
    return elements // block_elements * block_bytes
