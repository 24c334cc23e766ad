"""Keys of backups: a master key wraps each archive's own key, which travels with the archive.

So the file and the master key are enough to read it after any disaster. Whoever wraps the keys of what shall
live with a new master key and destroys the old one has made every copy of all else unreadable.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engines.exceptions import ArchiveError

KEY_BYTES = 32
KEY_ID_BYTES = 8
NONCE_BYTES = 12
_TAG_BYTES = 16
WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + _TAG_BYTES
_MIN_SECRET = 32
_KEY_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A 256-bit key (never shown by ``repr``) and the public name it goes by (16 hex digits)."""

    key_id: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.key_id) or len(self.key) != KEY_BYTES:
            raise ArchiveError(
                "A backup master key needs an id of 16 hex digits and 32 bytes of key; derive it "
                "with MasterKeyRing.from_secret."
            )


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """One archive's key, sealed by the master key ``key_id`` for that archive only."""

    key_id: str
    sealed: bytes

    def to_bytes(self) -> bytes:
        """The key's id and the sealed key, as an archive's header has them."""
        return bytes.fromhex(self.key_id) + self.sealed

    @classmethod
    def from_bytes(cls, raw: bytes) -> WrappedKey:
        """Read ``to_bytes``; what is damaged in it is noticed when the key is opened."""
        return cls(raw[:KEY_ID_BYTES].hex(), raw[KEY_ID_BYTES:])

    def to_text(self) -> str:
        """One line of ASCII for a database column or a key slip."""
        return f"{self.key_id}.{base64.urlsafe_b64encode(self.sealed).decode()}"

    @classmethod
    def from_text(cls, text: str) -> WrappedKey:
        """Read ``to_text``'s line; ArchiveError when it is not one."""
        key_id, _, sealed = text.partition(".")
        try:
            raw = base64.b64decode(sealed, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _unreadable_key() from error
        if not _KEY_ID.fullmatch(key_id) or len(raw) != WRAPPED_BYTES:
            raise _unreadable_key()
        return cls(key_id, raw)


class MasterKeyRing:
    """The master key in use and the older ones that still open what they sealed."""

    def __init__(self, keys: Iterable[MasterKey]) -> None:
        """``keys``: the one in use first; ArchiveError when there is none."""
        self._keys = {key.key_id: key for key in keys}
        if not self._keys:
            raise ArchiveError("There is no backup master key; set one before making backups.")
        self.current = next(iter(self._keys.values()))

    @classmethod
    def from_secret(cls, text: str) -> MasterKeyRing:
        """Derive keys from secrets, one a line, the one in use first (HKDF-SHA256, RFC 5869).

        Each secret needs 32 characters or more and should be random: it is not stretched.
        """
        return cls(_derive(line.strip()) for line in text.splitlines() if line.strip())

    def find(self, key_id: str) -> MasterKey:
        """Return the key of this id; ArchiveError when the ring does not have it."""
        if key_id not in self._keys:
            raise ArchiveError(
                f"This backup was sealed with master key {key_id}, which is not among the "
                f"configured ones ({', '.join(self._keys)}); add the older secret and try again."
            )
        return self._keys[key_id]


def wrap_key(master: MasterKey, data_key: bytes, header: bytes) -> WrappedKey:
    """Seal an archive's key so that it opens that archive (its header) only."""
    # Random is enough: a master key wraps far fewer than the 2**32 keys that AES-GCM allows with it.
    nonce = os.urandom(NONCE_BYTES)
    return WrappedKey(master.key_id, nonce + AESGCM(master.key).encrypt(nonce, data_key, header))


def unwrap_key(ring: MasterKeyRing, wrapped: WrappedKey, header: bytes) -> bytes:
    """Return the archive's key; ArchiveError when key, header and wrapped key do not belong together."""
    master = ring.find(wrapped.key_id)
    nonce, sealed = wrapped.sealed[:NONCE_BYTES], wrapped.sealed[NONCE_BYTES:]
    try:
        return AESGCM(master.key).decrypt(nonce, sealed, header)
    except (InvalidTag, ValueError) as error:
        raise ArchiveError(
            "The wrapped key does not open this backup: the file's beginning is damaged, or the "
            "key belongs to another backup. Check that both come from the same record."
        ) from error


def _derive(secret: str) -> MasterKey:
    if len(secret) < _MIN_SECRET:
        raise ArchiveError(
            f"A backup secret has {len(secret)} characters; use at least {_MIN_SECRET} random ones."
        )
    # Derived under another purpose, so that the public name says nothing about the key.
    key_id = _expand(secret, b"sam backup key id", KEY_ID_BYTES).hex()
    return MasterKey(key_id, _expand(secret, b"sam backup master key", KEY_BYTES))


def _expand(secret: str, purpose: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=purpose).derive(secret.encode())


def _unreadable_key() -> ArchiveError:
    return ArchiveError(
        "This text is not the wrapped key of a backup; copy the whole line from the backup's record."
    )
