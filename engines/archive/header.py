"""How an archive begins: what it is, and since version 2 its own key, wrapped by the backup key.

Version 2: magic, a 7-byte random prefix, then the master key's id and the wrapped key. The first two are the
archive's identity: they bind the wrapped key and every chunk to it, and stay when the key is wrapped anew.
Version 1 has the master key's id before the prefix and no wrapped key; that is kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engines.archive.keys import (
    KEY_ID_BYTES,
    WRAPPED_BYTES,
    MasterKey,
    MasterKeyRing,
    WrappedKey,
    unwrap_key,
    wrap_key,
)
from engines.exceptions import ArchiveError

MAGIC = b"SAMBKP\x00\x02"
MAGIC_1 = b"SAMBKP\x00\x01"
PREFIX_BYTES = 7
IDENTITY_BYTES = len(MAGIC) + PREFIX_BYTES
SLOT_BYTES = KEY_ID_BYTES + WRAPPED_BYTES
HEADER_BYTES = IDENTITY_BYTES + SLOT_BYTES
IDENTITY_1_BYTES = len(MAGIC_1) + KEY_ID_BYTES + PREFIX_BYTES


@dataclass(frozen=True, slots=True)
class Header:
    """The identity that every chunk is bound to, and the wrapped key that travels with it, if any."""

    identity: bytes
    travelling_key: WrappedKey | None

    @property
    def prefix(self) -> bytes:
        """The random bytes that all nonces of this archive begin with."""
        return self.identity[-PREFIX_BYTES:]

    def key_to_use(self, known: WrappedKey | None) -> WrappedKey:
        """Return the wrapped key that opens the archive.

        ArchiveError when none is known and none travels with it, or the two are not the same.
        """
        own = self.travelling_key
        key = own or known
        if key is None:
            raise ArchiveError(
                "This backup is of an older kind that does not hold its own key; it opens with the "
                "wrapped key from its record only."
            )
        if known not in (None, key):
            raise ArchiveError(
                "The file's own key is not the one of its record: the file's beginning is damaged, or "
                "it is another backup. Fetch the file again or use another backup."
            )
        return key

    def rewrapped(self, known: WrappedKey | None, ring: MasterKeyRing) -> tuple[bytes, WrappedKey]:
        """Wrap the archive's key with the master key in use; return the new beginning and the key."""
        data_key = unwrap_key(ring, self.key_to_use(known), self.identity)
        wrapped = wrap_key(ring.current, data_key, self.identity)
        if self.travelling_key is None:
            return self.identity, wrapped
        return self.identity + wrapped.to_bytes(), wrapped


def new_header(master: MasterKey, data_key: bytes, prefix: bytes) -> Header:
    """Make the header of a new archive."""
    identity = MAGIC + prefix
    return Header(identity, wrap_key(master, data_key, identity))


def read_header(take: Callable[[int], bytes]) -> Header:
    """Read a header with a function that takes so many bytes; ArchiveError when it is none."""
    magic = take(len(MAGIC))
    if magic == MAGIC:
        identity, slot = magic + take(PREFIX_BYTES), take(SLOT_BYTES)
        if len(slot) == SLOT_BYTES:
            return Header(identity, WrappedKey.from_bytes(slot))
    if magic == MAGIC_1:
        identity = magic + take(IDENTITY_1_BYTES - len(MAGIC_1))
        if len(identity) == IDENTITY_1_BYTES:
            return Header(identity, None)
    raise ArchiveError("This file is not a SAM backup, or not of a version known here.")


def check_key(take: Callable[[int], bytes], known: WrappedKey | None, ring: MasterKeyRing) -> None:
    """Raise ArchiveError unless one of our master keys opens an archive; reads only its beginning."""
    header = read_header(take)
    unwrap_key(ring, header.key_to_use(known), header.identity)
