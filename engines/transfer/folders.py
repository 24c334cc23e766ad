"""Models that are whole folders: their files, size and digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from engines.files.durable import BLOCK
from engines.transfer.verify import Content


def folder_files(folder: Path) -> list[Path]:
    """Return the files of a model in a stable order, without hidden ones (other programs' notes)."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in files if not _is_hidden(path.relative_to(folder)))


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def folder_size(folder: Path) -> int:
    """Return the bytes of a model's files; nothing is read."""
    return sum(path.stat().st_size for path in folder_files(folder))


def folder_content(folder: Path, progress: Callable[[int], None]) -> Content:
    """Return the digest over names and contents, and the bytes in all.

    ``progress`` is called with the bytes read so far, and may raise to stop.
    """
    whole, size = hashlib.sha256(), 0
    for path in folder_files(folder):
        own = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                own.update(block)
                size += len(block)
                progress(size)
        whole.update(f"{own.hexdigest()}  {path.relative_to(folder).as_posix()}\n".encode())
    return Content(whole.hexdigest(), size)
