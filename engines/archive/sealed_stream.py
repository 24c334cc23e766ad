"""A stream sealed in chunks with AES-256-GCM, after STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015).

Layout: an 8-byte magic, 8 bytes of master key id, a 7-byte random nonce prefix; then chunks of 1 MiB and
a 16-byte tag each. A chunk's nonce is prefix, 4-byte counter and a flag that is 1 on the last chunk only;
its associated data is the SHA-256 of the header. So a chunk that is missing, moved, changed or from
another file does not open, and neither does a file without its end.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engines.archive.keys import (
    KEY_BYTES,
    KEY_ID_BYTES,
    MasterKey,
    MasterKeyRing,
    WrappedKey,
    unwrap_key,
    wrap_key,
)
from engines.exceptions import ArchiveError

CHUNK_BYTES = 1024 * 1024
TAG_BYTES = 16
MAGIC = b"SAMBKP\x00\x01"
_PREFIX_BYTES = 7
HEADER_BYTES = len(MAGIC) + KEY_ID_BYTES + _PREFIX_BYTES
_MAX_CHUNKS = 2**32


@dataclass(slots=True)
class _ChunkCipher:
    """Seals or opens chunks in order; each nonce is used once."""

    aead: AESGCM
    prefix: bytes
    header_hash: bytes
    counter: int = 0

    @classmethod
    def of(cls, data_key: bytes, header: bytes) -> _ChunkCipher:
        return cls(AESGCM(data_key), header[-_PREFIX_BYTES:], hashlib.sha256(header).digest())

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        sealed = self.aead.encrypt(self._nonce(last=last), chunk, self.header_hash)
        self._step()
        return sealed

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        """Return the plain chunk; ArchiveError that says whether it is damage or a missing end."""
        chunk = self._try_open(sealed, last=last)
        if chunk is None:
            raise self._explain(sealed, last=last)
        self._step()
        return chunk

    def _try_open(self, sealed: bytes, *, last: bool) -> bytes | None:
        try:
            return self.aead.decrypt(self._nonce(last=last), sealed, self.header_hash)
        except (InvalidTag, ValueError):
            return None

    def _explain(self, sealed: bytes, *, last: bool) -> ArchiveError:
        part = self.counter + 1
        # Tried only after a failure: a chunk that opens as a middle one shows that the end is missing.
        if last and self._try_open(sealed, last=False) is not None:
            return ArchiveError(
                f"The backup is truncated: it ends after part {part}, which is not its last. "
                "Fetch the file again or use another backup."
            )
        return ArchiveError(
            f"Part {part} of the backup is damaged, cut short, out of order or from another file. "
            "Fetch the file again or use another backup."
        )

    def _nonce(self, *, last: bool) -> bytes:
        return self.prefix + self.counter.to_bytes(4, "big") + bytes([last])

    def _step(self) -> None:
        self.counter += 1
        # AES-GCM is broken by one repeated nonce, so the counter must not wrap.
        if self.counter >= _MAX_CHUNKS:
            raise ArchiveError("A backup cannot hold more than 4 PiB; split it.")


class SealedWriter:
    """Seals what is written to ``file``; holds one chunk in memory. ``finish`` ends the stream."""

    def __init__(self, file: BinaryIO, master: MasterKey) -> None:
        header = MAGIC + bytes.fromhex(master.key_id) + os.urandom(_PREFIX_BYTES)
        data_key = os.urandom(KEY_BYTES)
        self.wrapped_key = wrap_key(master, data_key, header)
        self.size = 0
        self._cipher = _ChunkCipher.of(data_key, header)
        self._file = file
        self._digest = hashlib.sha256()
        self._pending = bytearray()
        self._emit(header)

    def write(self, data: bytes) -> None:
        """Add plain bytes of any length."""
        for start in range(0, len(data), CHUNK_BYTES):
            self._pending += data[start : start + CHUNK_BYTES]
            # Not at exactly one chunk: it may turn out to be the last, which is sealed with the flag.
            if len(self._pending) > CHUNK_BYTES:
                self._seal_full_chunk()

    def finish(self) -> str:
        """Write the last chunk; return the SHA-256 (hex) of the whole sealed file."""
        self._emit(self._cipher.seal(bytes(self._pending), last=True))
        self._pending.clear()
        return self._digest.hexdigest()

    def _seal_full_chunk(self) -> None:
        chunk = bytes(self._pending[:CHUNK_BYTES])
        del self._pending[:CHUNK_BYTES]
        self._emit(self._cipher.seal(chunk, last=False))

    def _emit(self, sealed: bytes) -> None:
        self._file.write(sealed)
        self._digest.update(sealed)
        self.size += len(sealed)


class SealedReader:
    """Opens a sealed stream; every byte it gives out has been authenticated. Holds three chunks."""

    def __init__(self, file: BinaryIO, wrapped: WrappedKey, ring: MasterKeyRing) -> None:
        """Read and check the header; ArchiveError when it is none or the key does not fit."""
        self.size = 0
        self._file = file
        self._digest = hashlib.sha256()
        header = self._take(HEADER_BYTES)
        if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
            raise ArchiveError("This file is not a SAM backup, or not of a version known here.")
        self._cipher = _ChunkCipher.of(unwrap_key(ring, wrapped, header), header)
        self._plain = memoryview(b"")
        # One chunk ahead: whether a chunk is the last decides how it is opened.
        self._next_sealed = self._take(CHUNK_BYTES + TAG_BYTES)
        self._ended = False

    @property
    def sha256(self) -> str:
        """Digest (hex) of the sealed bytes read so far: of the whole file at its end."""
        return self._digest.hexdigest()

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes; empty only at the authenticated end."""
        while not self._plain and not self._ended:
            self._open_next()
        piece = bytes(self._plain[:count])
        self._plain = self._plain[len(piece) :]
        return piece

    def _open_next(self) -> None:
        sealed, self._next_sealed = self._next_sealed, self._take(CHUNK_BYTES + TAG_BYTES)
        last = not self._next_sealed
        self._plain = memoryview(self._cipher.open(sealed, last=last))
        self._ended = last

    def _take(self, count: int) -> bytes:
        """Read exactly ``count`` sealed bytes, fewer only at the end of the file."""
        taken = bytearray()
        while piece := self._file.read(count - len(taken)):
            taken += piece
        self._digest.update(taken)
        self.size += len(taken)
        return bytes(taken)
