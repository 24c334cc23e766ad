"""Second factors' secrets, unreadable in the database and its backups without SECRET_KEY."""

from __future__ import annotations

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from engines.exceptions import ConflictError

KEY_BYTES = 32
NONCE_BYTES = 12
_PURPOSE = b"sam second factor"


def seal_text(text: str) -> str:
    """Return a text that only ``unseal_text`` reads."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(_key(settings.SECRET_KEY)).encrypt(nonce, text.encode(), None)
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def unseal_text(sealed: str) -> str:
    """Return what was sealed with SECRET_KEY or one of SECRET_KEY_FALLBACKS; ConflictError."""
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            raw = base64.b64decode(sealed, altchars=b"-_", validate=True)
            nonce, rest = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
            return AESGCM(_key(secret)).decrypt(nonce, rest, None).decode()
        except (InvalidTag, ValueError, binascii.Error):
            continue
    raise ConflictError(
        "This second factor was sealed with another SECRET_KEY; name the earlier one in "
        "SECRET_KEY_FALLBACKS, or have an administrator remove the second factor."
    )


def _key(secret: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=_PURPOSE).derive(secret.encode())
