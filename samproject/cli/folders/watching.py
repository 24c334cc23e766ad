"""A folder that is looked at again and again, and a base that is kept in step with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from samproject.cli.client import NOT_SIGNED_IN, Client
from samproject.cli.errors import CommandError, RefusedError
from samproject.cli.folders.sending import (
    Line,
    LocalFile,
    bring_up,
    delete_missing,
    digest_file,
    find_local,
)

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
MOST_SECONDS = 7 * 24 * 3600
MOST_LOOKS_APART = 64
"""A file that is refused is sent again, at last this seldom: what refused it may be over."""
FINAL = frozenset({NOT_SIGNED_IN, "not_authenticated", "permission_denied", "not_found"})
"""Codes of answers that another look does not change."""

Signature = tuple[int, int, int, int]


def read_seconds(text: str) -> int:
    """Read ``30s``, ``5m`` or ``1h``; CommandError for anything else."""
    found = re.fullmatch(r"([0-9]{1,6})([smh]?)", text.strip())
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 1 <= seconds <= MOST_SECONDS:
        raise CommandError(f"{text!r} is no time to wait; write 30s, 5m or 1h, at most a week.")
    return seconds


def pause(seconds: float) -> None:
    """Wait until the next look; Ctrl-C ends it at once."""
    Event().wait(seconds)


@dataclass(slots=True)
class _Refused:
    """A file that was not taken: with which content, and when it is sent again."""

    digest: str
    looks_apart: int
    next_look: int


class WatchedFolder:
    """What is known of a folder between one look and the next.

    Files are compared by content: one is read again when its size or one of its times changed. A document is
    deleted when its file was missing in two looks in a row, and never while the folder is missing or empty,
    as an unmounted disk is.
    """

    def __init__(self, api: Client, base: int, folder: Path, *, deletes: bool) -> None:
        self._api = api
        self._base = base
        self._folder = folder
        self._deletes = deletes
        self._digests: dict[Path, tuple[Signature, str]] = {}
        self._last: dict[str, str] = {}
        """Path → SHA-256 at the last look that went through; empty of what could not be read."""
        self._is_first = True
        self._had_gone = True
        """Whether at the last look documents may have been without their file."""
        self._refused: dict[str, _Refused] = {}
        self._looks = 0

    def look_again_and_again(
        self, seconds: float, say: Callable[[str], None]
    ) -> Iterator[list[Line]]:
        """Yield what changes, file by file; whatever fails for a time is said once, and tried again.

        RefusedError when it can never work: signed out, or the base is gone.
        """
        said = ""
        while True:
            try:
                yield from self.look()
                said = ""
            except (CommandError, OSError) as error:
                if isinstance(error, RefusedError) and error.code in FINAL:
                    raise
                if str(error) != said:
                    said = str(error)
                    say(f"{said} It is tried again.")
            pause(seconds)

    def look(self) -> Iterator[list[Line]]:
        """Bring the base up to date once; yields the lines of each file that changed or was refused."""
        if not self._folder.is_dir():
            raise CommandError(f"{self._folder} is not there; nothing is changed meanwhile.")
        self._looks += 1
        files, prefixes = find_local([self._folder])
        here = {file.path: self._digest(file.local) for file in files}
        gone = self._last.keys() - here.keys()
        sent = [file for file in files if self._is_due(file.path, here[file.path])]
        if sent or self._is_first:
            yield from self._send(sent, prefixes, here)
        if self._deletes and self._had_gone and not self._is_first and files:
            lines = delete_missing(self._api, self._base, here.keys() | gone, prefixes)
            yield from [lines] if lines else []
        self._had_gone = self._is_first or bool(gone) or (self._had_gone and not files)
        self._last, self._is_first = here, False

    def _is_due(self, path: str, digest: str) -> bool:
        refused = self._refused.get(path)
        if refused is not None and refused.digest == digest:
            return self._looks >= refused.next_look
        return self._is_first or self._last.get(path) != digest

    def _send(
        self, sent: Sequence[LocalFile], prefixes: Sequence[str], here: dict[str, str]
    ) -> Iterator[list[Line]]:
        told = bring_up(
            self._api, self._base, sent, prefixes, here=here.keys(), digest_of=self._digest
        )
        for file, lines in zip(sent, told, strict=True):
            if any(line["outcome"] == "refused" for line in lines):
                self._wait_longer(file.path, here[file.path])
            else:
                self._refused.pop(file.path, None)
            if news := [line for line in lines if line["outcome"] != "unchanged"]:
                yield news

    def _wait_longer(self, path: str, digest: str) -> None:
        before = self._refused.get(path)
        is_again = before is not None and before.digest == digest
        apart = min(2 * before.looks_apart, MOST_LOOKS_APART) if before and is_again else 1
        self._refused[path] = _Refused(digest, apart, self._looks + apart)

    def _digest(self, path: Path) -> str:
        """Return the file's SHA-256, read again when it may have changed; nothing when it cannot be read."""
        try:
            facts = path.stat()
            signature = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
            known = self._digests.get(path)
            if known is None or known[0] != signature:
                known = self._digests[path] = (signature, digest_file(path))
        except OSError:
            return ""
        return known[1]
