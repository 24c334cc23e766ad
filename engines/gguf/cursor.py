"""Bounded reading of an untrusted byte stream."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from engines.exceptions import UnsafeModelFileError
from engines.gguf import limits

_LENGTH = struct.Struct("<Q")


def refuse(reason: str) -> NoReturn:
    """Raise UnsafeModelFileError: ``reason`` names the field and its limit."""
    raise UnsafeModelFileError(
        f"The model file was refused: {reason}. "
        "Download it again from its publisher or choose another file."
    )


class Cursor:
    """Reads forward through a file of ``size`` bytes, never past its end nor past the header limit."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._texts_left = limits.MAX_ARRAY_TEXTS
        self.size = size
        self.position = 0

    def take(self, count: int, field: str) -> bytes:
        """The next ``count`` bytes."""
        self.require(count, field)
        data = self._stream.read(count)
        if len(data) != count:
            refuse(f"it ends inside {field}")
        self.position += count
        return data

    def skip(self, count: int, field: str) -> None:
        """Step over ``count`` bytes unread."""
        self.require(count, field)
        self._stream.seek(count, 1)
        self.position += count

    def require(self, count: int, field: str) -> None:
        """Refuse when ``count`` more bytes go past the file's end or the header limit."""
        # Compared as sums, before reading: a hostile length must not make us allocate.
        end = self.position + count
        if end > self.size:
            refuse(f"{field} ends at byte {end} and the file at {self.size}")
        if end > limits.MAX_HEADER_BYTES:
            refuse(f"its header is longer than {limits.MAX_HEADER_BYTES} bytes")

    def unpack(self, layout: struct.Struct, field: str) -> tuple[Any, ...]:
        """The next values of a fixed layout."""
        return layout.unpack(self.take(layout.size, field))

    def string(self, limit: int, field: str) -> str:
        """The next length-prefixed UTF-8 text of at most ``limit`` bytes."""
        (length,) = self.unpack(_LENGTH, f"the length of {field}")
        if length > limit:
            refuse(f"{field} is {length} bytes long and the limit is {limit}")
        try:
            return self.take(length, field).decode()
        except UnicodeDecodeError:
            refuse(f"{field} is not UTF-8 text")

    def texts(self, count: int, limit: int, field: str) -> Iterator[bytes]:
        """The next ``count`` length-prefixed texts of at most ``limit`` bytes each."""
        # In total, not per array: a header may hold many arrays.
        self._texts_left -= count
        if self._texts_left < 0:
            refuse(f"its arrays hold more than {limits.MAX_ARRAY_TEXTS} texts")
        # Written out instead of calling ``string``: a vocabulary has hundreds of thousands of texts.
        read, end = self._stream.read, min(self.size, limits.MAX_HEADER_BYTES)
        for _ in range(count):
            head = read(_LENGTH.size)
            length = int.from_bytes(head, "little")
            if length > limit:
                refuse(f"{field} is {length} bytes long and the limit is {limit}")
            text = read(length)
            self.position += _LENGTH.size + length
            if len(head) + len(text) != _LENGTH.size + length or self.position > end:
                refuse(f"it ends inside {field}")
            yield text
