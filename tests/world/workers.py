"""SAM's real processes for a test: supervisor, control worker, host workers and beat."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psutil
from django.conf import settings
from django.db import connection

from engines.models import Host, HostEvent, HostSample, ModelCopy

HOST = "t1"
LEASE_SECONDS = 5
SWEEP_SECONDS = 1
RESTART_SECONDS = 2
"""Tests kill often, which is no reason to wait as for a process that cannot start."""
PROJECT = Path(__file__).resolve().parent.parent.parent


class Workers:
    """``manage.py up`` without web and Flower, on the test's database and Redis."""

    def __init__(self, data: Path, faults: Path) -> None:
        self.data = data
        self.models = data / "models"
        self.faults = faults
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Workers:
        self.faults.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "manage.py", "up", "--no-web", "--no-flower"]
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=PROJECT, env=self._environment(), stdout=log, stderr=log
            )
        wait_until(lambda: len(self.worker_pids()) == 3, "three workers")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)

    def _environment(self) -> dict[str, str]:
        name = connection.settings_dict["NAME"]
        host = connection.settings_dict["HOST"]
        user = connection.settings_dict["USER"]
        password = connection.settings_dict["PASSWORD"]
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "samproject.settings",
            "DATABASE_URL": f"postgresql://{user}:{password}@{quote(host, safe='')}/{name}",
            "REDIS_URL": settings.REDIS_URL,
            "SECRET_KEY": settings.SECRET_KEY,
            "SAM_BACKUP_KEY": settings.SAM_BACKUP_KEY,
            "SAM_DATA_DIR": str(self.data),
            "SAM_ARTIFACT_STORE": settings.SAM_ARTIFACT_STORE,
            "SAM_HOST_NAME": HOST,
            "SAM_LEASE_SECONDS": str(LEASE_SECONDS),
            "SAM_SWEEP_SECONDS": str(SWEEP_SECONDS),
            "SAM_RESTART_SECONDS": str(RESTART_SECONDS),
            "SAM_ENGINE_THREADS": "1",
            "SAM_FAULTS": str(self.faults),
        }

    def worker_pids(self) -> dict[str, int]:
        """Return the process id of each worker by its role: control, work, live."""
        found = {}
        for process in self._descendants():
            command = " ".join(_command_line(process))
            if "--queues" in command:
                found[command.split("--hostname ")[1].split("@")[0]] = process.pid
        return found

    def engine_pids(self) -> list[int]:
        """Return the engines' child processes."""
        return [
            process.pid
            for process in self._descendants()
            if "engines.runtimes" in " ".join(_command_line(process))
        ]

    def _descendants(self) -> list[psutil.Process]:
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def kill(pids: list[int]) -> None:
    """SIGKILL; who is gone already is fine."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_until(holds: Callable[[], bool], what: str, *, seconds: float = 150) -> None:
    """Wait for something the workers do; fails naming it."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {seconds:.0f} s for {what}.")
        time.sleep(0.1)


def forget_hosts() -> None:
    """Remove what workers registered after the last test's rows were flushed: a later test would meet it."""
    for rows in (HostSample, HostEvent, ModelCopy, Host):
        rows._default_manager.all().delete()
