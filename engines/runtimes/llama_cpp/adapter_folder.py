"""The adapter files that one engine's child may read: links in a folder of its own.

A child's box is closed before anybody knows which adapters it will be asked for, and it shall not read
those of people whom it does not serve.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

from engines.files.private import private_folder

PREFIX = "engine-"
MAX_FILES = 64


class AdapterFolder:
    """A folder that ends with its engine; what a killed process left is removed by the next one.

    Thread-safe.
    """

    def __init__(self, parent: str = "") -> None:
        """``parent`` is best on the file system of the adapters; empty means the temporary folder."""
        above = Path(parent or tempfile.gettempdir())
        private_folder(above)
        _remove_leftovers(above)
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=above))
        self._sources: dict[str, Path] = {}
        self._lock = threading.Lock()

    def add(self, digest: str, source: Path) -> str:
        """Return the path of an adapter in this folder; OSError when it cannot be put there."""
        target = self.path / digest
        with self._lock:
            self._forget_surplus()
            if digest not in self._sources:
                _link(source, target)
            else:
                # Last in the order in which they go.
                del self._sources[digest]
            self._sources[digest] = source
        return str(target)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _forget_surplus(self) -> None:
        """Remove what its owner removed, and what was not asked for longest."""
        gone = [digest for digest, source in self._sources.items() if not source.exists()]
        old = list(self._sources)[: max(len(self._sources) - MAX_FILES, 0)]
        for digest in {*gone, *old}:
            del self._sources[digest]
            (self.path / digest).unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        # Another file system, or one without hard links.
        draft = target.with_name(f".{target.name}")
        shutil.copyfile(source, draft)
        draft.replace(target)


def _remove_leftovers(above: Path) -> None:
    for folder in above.glob(f"{PREFIX}[0-9]*-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            shutil.rmtree(folder, ignore_errors=True)
