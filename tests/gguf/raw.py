"""Builds GGUF bytes by hand, also those that no honest writer would produce."""

from __future__ import annotations

import struct

from engines.gguf.layout import ValueKind

ALIGNMENT = 32


def counted(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def entry(key: bytes, kind: int, payload: bytes) -> bytes:
    return counted(key) + struct.pack("<I", kind) + payload


def u32(key: bytes, number: int) -> bytes:
    return entry(key, ValueKind.UINT32, struct.pack("<I", number))


def text(key: bytes, value: bytes) -> bytes:
    return entry(key, ValueKind.STRING, counted(value))


def array(key: bytes, kind: int, length: int, payload: bytes = b"") -> bytes:
    return entry(key, ValueKind.ARRAY, struct.pack("<IQ", kind, length) + payload)


def tensor(name: bytes, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return counted(name) + dimensions + struct.pack("<IQ", kind, offset)


def gguf(
    entries: list[bytes],
    tensors: list[bytes] | None = None,
    *,
    data: bytes = b"",
    magic: bytes = b"GGUF",
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    infos = tensors or []
    tensor_count, entry_count = counts or (len(infos), len(entries))
    head = magic + struct.pack("<IQQ", version, tensor_count, entry_count)
    head += b"".join(entries) + b"".join(infos)
    return head + bytes(-len(head) % ALIGNMENT) + data


MODEL = [
    text(b"general.architecture", b"llama"),
    u32(b"llama.block_count", 2),
    u32(b"llama.attention.head_count", 4),
]
EIGHT_FLOATS = bytes(32)
