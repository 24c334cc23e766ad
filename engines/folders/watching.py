"""A folder that is looked at again and again, and a base that is kept in step with it: the rules of one look."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from engines.exceptions import SamError
from engines.folders.local import Found, LocalFile, NotReadableError, digest_file, find_in_folder
from engines.folders.sending import (
    MAX_FILE_BYTES,
    Known,
    Line,
    Target,
    know_gone,
    refuse,
    send_file,
    settle_missing,
)

MOST_LOOKS_APART = 64
"""A file that is refused is sent again, at last this seldom: what refused it may be over."""


class FolderAwayError(SamError):
    """A watched folder is not there, as one of a disk that is not mounted; nothing was changed."""

    code = "folder_away"
    transient = True


@dataclass(slots=True)
class Remembered:
    """What is known of a file since it was dealt with."""

    signature: str = ""
    """Size, times and the like: while it is the same, the file need not be read."""
    digest: str = ""
    """SHA-256; empty of what could not be read."""
    looks_apart: int = 0
    """Of a file that was refused: after how many looks it is sent again."""
    next_look: int = 0
    is_missing: bool = False
    """Whether it was not there at the last look that went through."""


@dataclass(slots=True)
class Memory:
    """What is known of a folder between one look and the next."""

    looks: int = 0
    """How many looks went through."""
    files: dict[str, Remembered] = field(default_factory=dict)
    """By path in the base."""
    changed: set[str] = field(default_factory=set)
    """Paths of which something else is known, or nothing any more, since whoever keeps this asked last."""

    def note(self, path: str, known: Remembered) -> None:
        """Remember a file."""
        self.files[path] = known
        self.changed.add(path)

    def forget(self, path: str) -> None:
        """Know nothing of a file."""
        self.files.pop(path, None)
        self.changed.add(path)

    @property
    def refused(self) -> int:
        """Return how many files are not taken."""
        return sum(known.looks_apart > 0 and not known.is_missing for known in self.files.values())


class WatchedFolder:
    """Brings a base up to date with a folder.

    Files are compared by content: one is read again when its size or one of its times changed. A document is
    deleted when its file was missing in two looks in a row, and never while the folder is missing or empty,
    as an unmounted disk is, or a folder in it cannot be read.
    """

    def __init__(self, target: Target, folder: Path, memory: Memory, *, name: str = "") -> None:
        self._target = target
        self._folder = folder
        self._memory = memory
        self._name = name or folder.resolve().name
        self._had_gone = True
        """Whether at the last look documents may have been without their file."""
        self.found = Found()
        """What the last look found there."""

    def look(self) -> Iterator[list[Line]]:
        """Bring the base up to date once; yields the lines of each file that was read or refused.

        Who stops in the middle goes on there with the next look. FolderAwayError when there is no folder, and
        what the target raises.
        """
        if not self._folder.is_dir():
            raise FolderAwayError(f"{self._folder} is not there; nothing is changed meanwhile.")
        self.found = find_in_folder(self._folder, self._name)
        here = self.found.paths
        yield from self._send(self.found, here)
        yield from self._delete(self.found, here)
        self._memory.looks += 1

    def _send(self, found: Found, here: set[str]) -> Iterator[list[Line]]:
        known: Known | None = None
        for file in found.files:
            signature, digest = self._read(file)
            if not self._is_due(file.path, digest):
                self._see(file.path, signature)
                continue
            known = known or know_gone(self._target.known(), found, here)
            lines = send_file(self._target, file, known, partial(_digest_of, digest))
            self._remember(file.path, signature, digest, lines)
            yield lines
        for path, why in found.unread.items():
            if self._is_due(path, ""):
                lines = [refuse(path, why)]
                self._remember(path, "", "", lines)
                yield lines

    def _is_due(self, path: str, digest: str) -> bool:
        before = self._memory.files.get(path)
        if before is None or before.digest != digest:
            return True
        return bool(before.looks_apart) and self._memory.looks + 1 >= before.next_look

    def _see(self, path: str, signature: str) -> None:
        known = self._memory.files[path]
        if known.signature != signature or known.is_missing:
            known.signature, known.is_missing = signature, False
            self._memory.note(path, known)

    def _remember(self, path: str, signature: str, digest: str, lines: list[Line]) -> None:
        known = Remembered(signature, digest)
        if any(line["outcome"] == "refused" for line in lines):
            before = self._memory.files.get(path)
            is_again = before is not None and before.digest == digest and before.looks_apart
            apart = min(2 * before.looks_apart, MOST_LOOKS_APART) if before and is_again else 1
            known.looks_apart, known.next_look = apart, self._memory.looks + 1 + apart
        self._memory.note(path, known)

    def _delete(self, found: Found, here: Collection[str]) -> Iterator[list[Line]]:
        if not found.files:
            return
        just_gone = self._note_missing(found, here)
        is_first = not self._memory.looks
        if self._target.deletes and self._had_gone and not is_first:
            lines = settle_missing(self._target, found, {*here, *just_gone})
            yield from [lines] if lines else []
        self._had_gone = is_first or bool(just_gone)

    def _note_missing(self, found: Found, here: Collection[str]) -> set[str]:
        """Remember which files are missing; returns those that were there at the last look."""
        unknown = tuple(f"{path}/" for path in found.unread)
        just_gone = set()
        for path, known in list(self._memory.files.items()):
            if path in here or path in found.unread or path.startswith(unknown):
                continue
            if known.is_missing:
                self._memory.forget(path)
                continue
            known.is_missing = True
            self._memory.note(path, known)
            just_gone.add(path)
        return just_gone

    def _read(self, file: LocalFile) -> tuple[str, str]:
        """Return a file's signature and SHA-256, read again when it may have changed; none when unreadable."""
        try:
            facts = file.local.stat()
            parts = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
            signature = " ".join(map(str, parts))
            known = self._memory.files.get(file.path)
            if known is not None and known.signature == signature:
                return signature, known.digest
            return signature, digest_file(file) if facts.st_size <= MAX_FILE_BYTES else ""
        except (OSError, NotReadableError):
            return "", ""


def _digest_of(digest: str, file: LocalFile) -> str:
    # What could not be read is read again, so that its line says why.
    return digest or digest_file(file)
