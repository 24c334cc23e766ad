"""Secrets SAM makes for itself on a single machine, kept in files only their owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from samproject.supervisor.errors import SupervisorError


def generated_secret(path: Path, bytes_of_chance: int = 32) -> str:
    """Return the secret in ``path``, creating it on first use with mode 0600, as hexadecimal.

    Two processes starting together get the same secret: the file appears whole or not at all.
    Raises SupervisorError when others can read it or it cannot be written.
    """
    try:
        if not path.exists():
            _create(path, secrets.token_hex(bytes_of_chance))
        return _read_private(path)
    except OSError as error:
        raise SupervisorError(
            f"The secret file {path} cannot be used: {error.strerror}. "
            "Make its folder writable or choose another SAM_DATA_DIR."
        ) from error


def _create(path: Path, secret: str) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as target:
            target.write(secret)
            target.flush()
            os.fsync(target.fileno())
        _publish(draft, path)
    finally:
        draft.unlink()


def _publish(draft: Path, path: Path) -> None:
    # A hard link, not a rename: who comes second must take the secret the first one published.
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return


def _read_private(path: Path) -> str:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SupervisorError(f"The secret file {path} is open to others; run: chmod 600 '{path}'.")
    secret = path.read_text().strip()
    if not secret:
        raise SupervisorError(f"The secret file {path} is empty; remove it to get a new secret.")
    return secret
