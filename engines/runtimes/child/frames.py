"""The frames on the pipe to an engine's child: sizes, a JSON header, bytes; no pickles.

A frame is two unsigned 32-bit lengths, a JSON header and raw bytes (vectors as float32).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.child.messages import Header

PREFIX = struct.Struct("<II")
# The longest text an engine takes (2 million characters) needs up to 12 bytes a character in JSON.
MAX_HEADER = 32 * 1024 * 1024
MAX_PAYLOAD = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """One message in either direction."""

    header: Header
    payload: bytes = b""

    def encode(self) -> bytes:
        """Bytes for the pipe; InvalidRequestError when the frame is over the limits."""
        header = json.dumps(self.header, separators=(",", ":")).encode()
        _check_sizes(len(header), len(self.payload))
        return PREFIX.pack(len(header), len(self.payload)) + header + self.payload


def read_frame(read_exactly: Callable[[int], bytes]) -> Frame:
    """Next frame; sizes are checked before anything is read.

    ``read_exactly(n)`` returns n bytes or raises.
    """
    header_size, payload_size = PREFIX.unpack(read_exactly(PREFIX.size))
    # Before a byte is allocated: a child that lost its place in the stream would announce gigabytes.
    _check_sizes(header_size, payload_size)
    header = json.loads(read_exactly(header_size))
    if not isinstance(header, dict):
        raise EngineError(
            "A message on an engine's pipe is not an object; the engine is restarted."
        )
    return Frame(cast("Header", header), read_exactly(payload_size))


def _check_sizes(header: int, payload: int) -> None:
    if header > MAX_HEADER or payload > MAX_PAYLOAD:
        raise InvalidRequestError(
            f"A message to or from an engine has {header + payload} bytes, more than the pipe "
            "carries; send smaller texts or fewer at once."
        )
