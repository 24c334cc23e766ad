"""Repositories in a folder: ``root/<owner>/<name>/<file>``, with ``.gated`` naming accepted tokens."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

from engines.exceptions import UnsafeNameError
from engines.files.names import safe_join

_GATE = ".gated"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as the Hub describes it."""

    name: str
    path: Path
    size: int
    sha256: str


class Repositories:
    """Reads the folder anew for each question; digests are kept while a file does not change."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._digests: dict[tuple[Path, int, int], str] = {}

    def names(self) -> list[str]:
        """Return all repositories as owner/name."""
        folders = (path for path in self._root.glob("*/*") if path.is_dir())
        return sorted(path.relative_to(self._root).as_posix() for path in folders)

    def files(self, repo: str) -> list[StoredFile] | None:
        """Return all files of a repository in order, or None when it does not exist."""
        folder = self._folder(repo)
        if folder is None:
            return None
        paths = (path for path in folder.rglob("*") if path.is_file() and path.name != _GATE)
        return [self._describe(folder, path) for path in sorted(paths)]

    def accepts(self, repo: str, authorization: str) -> bool:
        """Whether this Authorization header opens the repository."""
        folder = self._folder(repo)
        if folder is None:
            return False
        gate = folder / _GATE
        if not gate.exists():
            return True
        return authorization.removeprefix("Bearer ") in gate.read_text().split()

    def _folder(self, repo: str) -> Path | None:
        try:
            folder = safe_join(self._root, repo)
        except UnsafeNameError:
            return None
        return folder if folder.is_dir() else None

    def _describe(self, folder: Path, path: Path) -> StoredFile:
        facts = path.stat()
        key = (path, facts.st_mtime_ns, facts.st_size)
        with self._lock:
            if key not in self._digests:
                with path.open("rb") as file:
                    self._digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
            digest = self._digests[key]
        return StoredFile(path.relative_to(folder).as_posix(), path, facts.st_size, digest)


def commit_of(files: list[StoredFile]) -> str:
    """Name this state of a repository: 40 hexadecimal digits that follow from its content."""
    listing = "".join(f"{file.name}\0{file.sha256}\n" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()[:40]
