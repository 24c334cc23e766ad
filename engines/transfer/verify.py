"""Whether a file is, byte for byte, the one the publisher named."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engines.exceptions import ArtifactMissingError, DigestMismatchError
from engines.files.durable import BLOCK, open_regular
from engines.transfer.progress import Reporter
from engines.transfer.remote_file import Progress


@dataclass(frozen=True, slots=True)
class Content:
    """What a file must hold: SHA-256 in lower-case hexadecimal digits, size in bytes."""

    sha256: str
    size: int


def verify_file(
    path: Path,
    *,
    sha256: str,
    size: int,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> None:
    """Return when ``path`` is a regular file of ``size`` bytes with this digest.

    Raises ArtifactMissingError (nothing there, or no regular file), DigestMismatchError,
    TransferCancelledError. Changes nothing.
    """
    with _open(path) as file:
        _require_size(file, path, size)
        found = _digest(file, size, Reporter(path.name, progress, cancelled))
    _require_digest(path, found, sha256)


def verify_open_file(
    file: BinaryIO,
    path: Path,
    content: Content,
    *,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> None:
    """``verify_file`` for what is open already; ``path`` is for sentences."""
    _require_size(file, path, content.size)
    found = _digest(file, content.size, Reporter(path.name, progress, cancelled))
    _require_digest(path, found, content.sha256)


def _require_size(file: BinaryIO, path: Path, size: int) -> None:
    actual = os.fstat(file.fileno()).st_size
    if actual != size:
        raise DigestMismatchError(
            f"{path} has {actual} bytes instead of {size}. Download it again."
        )


def _require_digest(path: Path, found: str, sha256: str) -> None:
    if found != sha256:
        raise DigestMismatchError(
            f"{path} has the SHA-256 {found} instead of {sha256}. Download it again."
        )


def _open(path: Path) -> BinaryIO:
    missing = ArtifactMissingError(f"There is no model file at {path}. Download it again.")
    try:
        file = open_regular(path)
    except OSError as error:
        raise missing from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise missing
    return file


def _digest(file: BinaryIO, size: int, reporter: Reporter) -> str:
    digest = hashlib.sha256()
    done = 0
    while block := file.read(BLOCK):
        digest.update(block)
        done += len(block)
        reporter.step(Progress("checking", done, size))
    return digest.hexdigest()
