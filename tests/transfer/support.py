"""A published file, the real demo Hub in front of it, and short ways to fetch from it."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.demo.hub.faults import LogEntry
from deploy.demo.hub.server import HubServer
from engines.transfer.download import download
from engines.transfer.hub import resolve_file
from engines.transfer.remote_file import DownloadOptions, DownloadResult, Progress, RemoteFile

REPO = "demo/engine"
NAME = "model.gguf"
QUICK = DownloadOptions(
    reserve_bytes=0,
    connect_timeout=30,
    read_timeout=30,
    sync_every=100_000,
    first_wait=0.01,
    longest_wait=0.05,
    give_up_after=60,
)
IMPATIENT = replace(QUICK, read_timeout=0.2, give_up_after=0.3)


def never() -> bool:
    return False


def ignore(progress: Progress) -> None:
    """Take a progress and do nothing with it."""


def content(size: int) -> bytes:
    """Bytes that differ at every place, so that a piece at a wrong offset is seen."""
    blocks = (hashlib.sha256(str(number).encode()).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


@dataclass
class Scene:
    """One published file and the folder it is fetched into."""

    hub: HubServer
    published: Path
    destination: Path
    told: list[Progress] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        return self.published.read_bytes()

    @property
    def parts(self) -> Path:
        return self.destination.parent / ".parts"

    def resolve(self, token: str | None = None) -> RemoteFile:
        return resolve_file(REPO, NAME, endpoint=self.hub.endpoint, token=token)

    def fetch(
        self,
        remote: RemoteFile | None = None,
        token: str | None = None,
        options: DownloadOptions = QUICK,
    ) -> DownloadResult:
        return download(
            remote or self.resolve(token),
            self.destination,
            progress=self.told.append,
            cancelled=never,
            token=token,
            options=options,
        )

    def gets(self) -> list[LogEntry]:
        return [entry for entry in self.hub.log if entry.method == "GET"]

    def sent(self, wanted: int) -> int:
        """Return how much was sent, once it is at least ``wanted`` or a minute has passed.

        The hub counts a piece after it is sent: its reader may be ahead.
        """
        pause = threading.Event()
        for _ in range(600):
            if sum(entry.bytes_sent for entry in self.gets()) >= wanted:
                break
            pause.wait(0.1)
        return sum(entry.bytes_sent for entry in self.gets())

    def left_behind(self) -> list[str]:
        """Every file below the models folder, finished or not."""
        root = self.destination.parent
        return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
