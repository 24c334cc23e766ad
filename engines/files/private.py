"""Folders and files that only their owner enters, whatever the umask of who makes them."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE_FOLDER = 0o700


def private_folder(path: Path) -> Path:
    """Return ``path``, created with mode 0700 like every missing folder above it; one that exists stays."""
    missing, above = [], path
    while not above.exists():
        missing.append(above)
        above = above.parent
    for folder in reversed(missing):
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        folder.chmod(PRIVATE_FOLDER)
        own_like_folder(folder, folder.parent)
    return path


def own_like_folder(made: Path | int, folder: Path) -> None:
    """Give what root made in somebody's folder to that user, whose processes must go on with it."""
    if os.geteuid() == 0:
        facts = folder.stat()
        if facts.st_uid != 0:
            os.chown(made, facts.st_uid, facts.st_gid)
