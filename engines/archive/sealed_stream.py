"""A stream sealed in chunks with AES-256-GCM, after STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015).

Layout: the header (``archive.header``); then chunks of 1 MiB and a 16-byte tag each. A chunk's nonce is the
header's prefix, a 4-byte counter and a flag that is 1 on the last chunk only; its associated data is the
SHA-256 of the header's identity. So a chunk that is missing, moved, changed or from another file does not
open, and neither does a file without its end.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engines.archive.header import PREFIX_BYTES, Header, new_header, read_header
from engines.archive.keys import KEY_BYTES, MasterKey, MasterKeyRing, WrappedKey, unwrap_key
from engines.exceptions import ArchiveError

CHUNK_BYTES = 1024 * 1024
TAG_BYTES = 16
_MAX_CHUNKS = 2**32


@dataclass(slots=True)
class _ChunkCipher:
    """Seals or opens chunks in order; each nonce is used once."""

    aead: AESGCM
    prefix: bytes
    identity_hash: bytes
    counter: int = 0

    @classmethod
    def of(cls, data_key: bytes, header: Header) -> _ChunkCipher:
        return cls(AESGCM(data_key), header.prefix, hashlib.sha256(header.identity).digest())

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        sealed = self.aead.encrypt(self._nonce(last=last), chunk, self.identity_hash)
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
            return self.aead.decrypt(self._nonce(last=last), sealed, self.identity_hash)
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
        data_key, prefix = os.urandom(KEY_BYTES), os.urandom(PREFIX_BYTES)
        header = new_header(master, data_key, prefix)
        self.wrapped_key = header.key_to_use(None)
        self.size = 0
        self._cipher = _ChunkCipher.of(data_key, header)
        self._file = file
        self._digest = hashlib.sha256()
        self._pending = bytearray()
        self._emit(header.identity + self.wrapped_key.to_bytes())

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

    def __init__(self, file: BinaryIO, known_key: WrappedKey | None, ring: MasterKeyRing) -> None:
        """Read and check the header; ArchiveError when it is none or the key does not fit.

        ``known_key`` is the wrapped key of the archive's record: one of version 1 opens with it alone.
        """
        self.size = 0
        self._file = file
        self._digest = hashlib.sha256()
        header = read_header(self._take)
        self.wrapped_key = header.key_to_use(known_key)
        data_key = unwrap_key(ring, self.wrapped_key, header.identity)
        self._cipher = _ChunkCipher.of(data_key, header)
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


def rewrap(
    source: BinaryIO, target: BinaryIO, known_key: WrappedKey | None, ring: MasterKeyRing
) -> WrappedKey:
    """Copy a sealed stream with its key wrapped by the master key in use; return that wrapped key.

    What is sealed stays as it is and is not opened. A stream of version 1 is copied unchanged: its new
    wrapped key belongs into its record. ArchiveError when it is no archive or its key cannot be opened.
    """
    beginning, wrapped = read_header(source.read).rewrapped(known_key, ring)
    target.write(beginning)
    while block := source.read(CHUNK_BYTES):
        target.write(block)
    return wrapped
