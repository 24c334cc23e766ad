"""What the demo Hub sends for a file: which bytes, under which headers, with a fault worked in."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from deploy.demo.hub.faults import Fault
from deploy.demo.hub.files import StoredFile

_BLOCK = 64 * 1024
_SLOW_PIECES_PER_SECOND = 20
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416


class RequestHeaders(Protocol):
    """The part of a request's headers that is read here."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes ``start .. end`` (end outside) of a file, ready to send."""

    status: int
    headers: Mapping[str, str]
    path: Path
    start: int
    end: int
    fault: Fault

    def pieces(self) -> Iterator[bytes]:
        """Yield what goes over the line, as far as the fault lets it."""
        with self._open() as file:
            file.seek(self.start)
            position = self.start
            while position < self.end:
                piece = file.read(min(self._piece_bytes(), self.end - position))
                yield self._flipped(piece, position)
                position += len(piece)
        yield bytes(self.fault.extra_bytes)

    def _open(self) -> BinaryIO:
        content = self.fault.content
        return self.path.open("rb") if content is None else io.BytesIO(content)

    def _piece_bytes(self) -> int:
        rate = self.fault.bytes_per_second
        return min(_BLOCK, max(1, rate // _SLOW_PIECES_PER_SECOND)) if rate else _BLOCK

    def _flipped(self, piece: bytes, position: int) -> bytes:
        place = self.fault.flip_byte_at
        if place is None or not position <= place < position + len(piece):
            return piece
        changed = bytearray(piece)
        changed[place - position] ^= 1
        return bytes(changed)


def plan_body(file: StoredFile, commit: str, request: RequestHeaders, fault: Fault) -> Body:
    """Decide status, headers and bytes for one request of ``file``."""
    size, digest = _content_facts(file, fault)
    start, end, status = _select(request, size, f'"{digest}"', fault)
    headers = {
        "X-Repo-Commit": commit,
        "ETag": f'"{digest}"',
        "X-Linked-Etag": f'"{digest}"',
        "X-Linked-Size": str(size),
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "Connection": "close",
        **_content_range(status, start, end, size),
        **fault.headers,
    }
    sent = {name: value for name, value in headers.items() if value is not None}
    return Body(status, sent, file.path, start, _last_sent(start, end, fault), fault)


def _content_facts(file: StoredFile, fault: Fault) -> tuple[int, str]:
    if fault.content is None:
        return file.size, file.sha256
    return len(fault.content), hashlib.sha256(fault.content).hexdigest()


def _select(request: RequestHeaders, size: int, etag: str, fault: Fault) -> tuple[int, int, int]:
    """Return start, end and status as RFC 9110 (13.1.5 and 14.2) has it for one open range."""
    asked = _RANGE.fullmatch(request.get("Range") or "")
    changed = request.get("If-Range") not in (None, etag)
    if asked is None or changed or fault.ignore_range:
        return 0, size, _OK
    start = int(asked[1])
    if start >= size:
        return 0, 0, _UNSATISFIABLE
    end = min(int(asked[2]) + 1, size) if asked[2] else size
    return start, end, _PARTIAL


def _content_range(status: int, start: int, end: int, size: int) -> dict[str, str]:
    if status == _UNSATISFIABLE:
        return {"Content-Range": f"bytes */{size}"}
    return {"Content-Range": f"bytes {start}-{end - 1}/{size}"} if status == _PARTIAL else {}


def _last_sent(start: int, end: int, fault: Fault) -> int:
    limits = (limit for limit in (fault.cut_after, fault.hold_after) if limit is not None)
    return min([end, *(start + limit for limit in limits)])
