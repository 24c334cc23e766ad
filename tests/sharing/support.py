"""The bytes that three programs share, and what a Hub says of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from engines.sharing.links import file_use
from engines.transfer.remote_file import RemoteFile
from engines.transfer.verify import Content

DATA = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(DATA).hexdigest()
CONTENT = Content(SHA256, len(DATA))
COMMIT = "c" * 40


def remote(**values: Any) -> RemoteFile:
    facts: dict[str, Any] = {
        "repo": "sam/tiny",
        "filename": "gguf/tiny.gguf",
        "commit": COMMIT,
        "size": len(DATA),
        "sha256": SHA256,
        "url": "https://hub.invalid/tiny",
        "etag": SHA256,
    }
    return RemoteFile(**(facts | values))


def inodes(*paths: Path) -> set[int]:
    return {file_use(path).inode for path in paths}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
