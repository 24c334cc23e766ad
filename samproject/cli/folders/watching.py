"""A folder of a person's machine that is looked at again and again, and a base that is kept in step with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

from engines.exceptions import SamError
from engines.folders.sending import Line
from engines.folders.watching import Memory, WatchedFolder
from samproject.cli.client import NOT_SIGNED_IN, NOT_THERE, Client
from samproject.cli.errors import CommandError, RefusedError
from samproject.cli.folders.sending import RemoteBase

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
MOST_SECONDS = 7 * 24 * 3600
FINAL = frozenset({NOT_SIGNED_IN, "not_authenticated", "permission_denied", NOT_THERE})
"""Codes of answers that another look does not change."""


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


class WatchedRemotely:
    """A folder, and a base behind the REST API; what is known of it lasts as long as this."""

    def __init__(self, api: Client, base: int, folder: Path, *, deletes: bool) -> None:
        self._watched = WatchedFolder(RemoteBase(api, base, deletes), folder, Memory())

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
            except (CommandError, SamError, OSError) as error:
                if isinstance(error, RefusedError) and error.code in FINAL:
                    raise
                if str(error) != said:
                    said = str(error)
                    say(f"{said} It is tried again.")
            pause(seconds)

    def look(self) -> Iterator[list[Line]]:
        """Bring the base up to date once; yields the lines of each file that changed or was refused."""
        for lines in self._watched.look():
            if news := [line for line in lines if line["outcome"] != "unchanged"]:
                yield news
