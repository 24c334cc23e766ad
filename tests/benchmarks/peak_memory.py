"""How far this process's own memory rises in a piece of work; files that are mapped are not its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

EVERY_SECONDS = 0.02


@dataclass(slots=True)
class Peak:
    """MiB above what there was before."""

    mib: float = 0.0


@contextmanager
def watching_memory() -> Iterator[Peak]:
    """Look at the process's anonymous memory all the while, and give the peak at the end."""
    peak, before, done = Peak(), own_mib(), threading.Event()

    def watch() -> None:
        while not done.wait(EVERY_SECONDS):
            peak.mib = max(peak.mib, own_mib() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def own_mib() -> float:
    """Return this process's anonymous resident memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024
