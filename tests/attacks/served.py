"""SAM as it runs, for attackers: web, a live worker, PostgreSQL, Redis; and what each of them holds."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import psutil
from redis import Redis

from engines.models import TokenReservation
from tests.openai_api.web import WebProcess
from tests.worker.processes import WorkerProcess

SETTLE_SECONDS = 120.0
KEPT_KEYS = (
    *("sam:live-engines:", "sam:engine-memory:", "sam:web:", "sam:count:", "sam:live-load:"),
    *("sam:_kombu", "sam:control", "sam:host."),
)
"""Of the servers themselves, counters of rates, and queues of work that no worker takes here: requests hold none of
them."""
SPARE_FILES = 24
"""Connections to servers that a pool of threads opens as it grows."""
SPARE_THREADS = 40


@dataclass(frozen=True)
class Held:
    """What requests hold while they are under way."""

    files: int
    threads: int
    processes: int
    keys: int
    reservations: int

    def is_at_most(self, before: Held) -> bool:
        return (
            self.files <= before.files + SPARE_FILES
            and self.threads <= before.threads + SPARE_THREADS
            and self.processes <= before.processes
            and self.keys <= before.keys
            and self.reservations <= before.reservations
        )


@dataclass(frozen=True)
class Target:
    """The two processes that are attacked."""

    web: WebProcess
    worker: WorkerProcess
    redis: Redis

    def held(self) -> Held:
        """Count now."""
        own = [self.web.process, psutil.Process(self.worker.process.pid)]
        every = [*own, *(child for process in own for child in process.children(recursive=True))]
        return Held(
            files=sum(process.num_fds() for process in own),
            threads=sum(process.num_threads() for process in own),
            processes=len(every),
            keys=sum(self.keys_of_requests().values()),
            reservations=TokenReservation.objects.count(),
        )

    def keys_of_requests(self) -> Counter[str]:
        """SAM's keys of requests and places, by kind."""
        names = (key.decode() for key in self.redis.scan_iter("sam:*"))
        passing = [name for name in names if not name.startswith(KEPT_KEYS)]
        return Counter(":".join(name.split(":")[:2]) for name in passing)

    def require_idle(self) -> Held:
        """Wait until no request holds anything; a place that nobody gives back is renewed for ever."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (now := self.held()).keys or now.reservations:
            assert time.monotonic() < deadline, (now, self.keys_of_requests())
            time.sleep(0.25)
        return now

    def require_nothing_left(self, before: Held) -> Held:
        """Wait until no more is held than before; fails naming both counts."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while not (now := self.held()).is_at_most(before):
            assert time.monotonic() < deadline, (before, now, self.keys_of_requests())
            time.sleep(0.25)
        return now

    def require_alive(self) -> None:
        """Both processes are those that were started, and answered nothing with a server error."""
        assert self.web.process.is_running()
        assert self.worker.process.poll() is None
        for log in (self.web.log, self.worker.log):
            text = log.read_text(errors="replace")
            assert "Traceback" not in text, text[text.index("Traceback") - 500 :][:4000]
