"""Points where a test can stop a process and kill it; without SAM_FAULTS they do nothing."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

_FOLDER = os.environ.get("SAM_FAULTS")
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,120}")
_POLL_SECONDS = 0.02


def faultpoint(name: str) -> None:
    """Hold this process here when a test armed this point.

    The test puts ``<name>.arm`` into the folder SAM_FAULTS names. The first process to arrive turns it
    into ``<name>.hit``, which holds its process id, and waits until ``<name>.go`` exists or it is
    killed. Names use letters, digits and ``. : _ -`` only (ValueError otherwise).
    """
    if _FOLDER is None:
        return
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a valid name for a fault point: use letters, digits and . : _ -"
        )
    if _take(Path(_FOLDER), name):
        _wait_for(Path(_FOLDER) / f"{name}.go")


def _take(folder: Path, name: str) -> bool:
    """Take the point if it is armed; of several processes that arrive together exactly one does."""
    # rename(2) succeeds for one of them, which makes it the lock.
    claimed = folder / f"{name}.{os.getpid()}.{threading.get_ident()}.claimed"
    try:
        (folder / f"{name}.arm").rename(claimed)
    except FileNotFoundError:
        return False
    claimed.write_text(str(os.getpid()))
    # Written before it gets the name the test waits for: the test reads the process id out of it.
    claimed.rename(folder / f"{name}.hit")
    return True


def _wait_for(path: Path) -> None:
    never = threading.Event()
    while not path.exists():
        never.wait(_POLL_SECONDS)


def tally(name: str, count: int) -> None:
    """Add a line to ``<name>.tally`` in the same folder, so that a test can count what was done."""
    if _FOLDER is not None:
        with (Path(_FOLDER) / f"{name}.tally").open("a") as file:
            file.write(f"{count}\n")
