"""What happens by chance: processes die and freeze, servers lose everything, hosts go and come back."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from random import Random

from django.utils import timezone

from engines.exceptions import SamError
from engines.models import Host, HostStatus
from migrations_app.hosts import drain_host, resume_host
from samproject.supervisor.embedded import EmbeddedServices
from tests.faults.harness import Case, strike
from tests.redis_admin import admin_redis
from tests.world.workers import HOST, LEASE_SECONDS, Workers

KILLS = {
    "kill the host's worker": "host_worker",
    "kill the control worker": "control_worker",
    "kill everything": "everything",
    "lose Redis": "redis",
    "restart PostgreSQL": "postgres",
}
"""An engine's process alone is not among them: a model whose engine dies while it is loaded is marked, rightly."""

ENDING_BATCHES = ("kill the host's worker", "kill everything", "restart PostgreSQL")
"""Those that end a batch which is being embedded: who embeds it dies, or its vectors cannot be stored."""


class Faults:
    """One fault after the other; ``heal`` ends those that last."""

    def __init__(self, workers: Workers, services: EmbeddedServices, random: Random) -> None:
        self._workers = workers
        self._services = services
        self._random = random
        self._frozen: dict[int, float] = {}
        self.struck: Counter[str] = Counter()
        self._kinds: dict[str, Callable[[], None]] = {
            **{name: lambda victim=victim: self._kill(victim) for name, victim in KILLS.items()},  # type: ignore[misc]
            "freeze a worker": self._freeze,
            "empty Redis": lambda: admin_redis().flushall(),  # type: ignore[dict-item]
            "drain the host": self._drain,
            "lose the host": self._lose,
        }

    def strike(self) -> str:
        """Let one thing happen; returns what."""
        name = self._random.choice(sorted(self._kinds))
        self._kinds[name]()
        self.struck[name] += 1
        return name

    def pass_time(self) -> None:
        """Thaw what has been frozen for longer than a lease, and take a drained host back."""
        now = time.monotonic()
        for pid, since in list(self._frozen.items()):
            if now - since > 1.5 * LEASE_SECONDS:
                self._thaw(pid)
        for host in Host.objects.filter(name=HOST, status=HostStatus.DRAINING):
            if self._random.random() < 1 / 3:
                resume_host(host, who="chaos")

    def heal(self) -> None:
        for pid in list(self._frozen):
            self._thaw(pid)
        for host in Host.objects.filter(name=HOST, status=HostStatus.DRAINING):
            resume_host(host, who="chaos")

    def _kill(self, victim: str) -> None:
        roles = self._workers.worker_pids()
        if victim.endswith("_worker") and not {"work", "control"} <= set(roles):
            # Killed a moment ago and not back yet.
            return
        strike(Case("", "", victim), self._workers, self._services)

    def _freeze(self) -> None:
        pids = sorted(set(self._workers.worker_pids().values()) - set(self._frozen))
        if pids:
            pid = self._random.choice(pids)
            os.kill(pid, signal.SIGSTOP)
            self._frozen[pid] = time.monotonic()

    def _thaw(self, pid: int) -> None:
        del self._frozen[pid]
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return

    def _drain(self) -> None:
        try:
            drain_host(Host.objects.get(name=HOST), who="chaos", force=True)
        except SamError:
            return

    def _lose(self) -> None:
        """As if it had been silent for long: the sweeper finds it, and its next beat brings it back."""
        Host.objects.filter(name=HOST).update(last_seen=timezone.now() - timedelta(hours=1))
