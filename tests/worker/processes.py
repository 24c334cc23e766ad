"""Real Celery workers for a test, each a process of its own on the test's database and Redis."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection
from kombu import Queue

from engines.exceptions import ConflictError
from engines.services.hosts import invite_host
from migrations_app.queues import CONTROL_QUEUE, live_queue, work_queue
from samproject.celery import app as celery_app

HOST = settings.SAM_HOST_NAME
WORK, LIVE, CONTROL = work_queue(HOST), live_queue(HOST), CONTROL_QUEUE
LEASE_SECONDS = 60
"""Never over by itself: a test says when a lease has run out (let_leases_end)."""
PROJECT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 120.0


class WorkerProcess:
    """``celery worker`` with the threads pool and the test's handlers; ended with the block."""

    def __init__(self, folder: Path, *queues: str, name: str = "w", **variables: str) -> None:
        self.log = folder / f"{name}.log"
        self._queues = queues or (WORK,)
        self._name = name
        self._host = variables.get("SAM_HOST_NAME", HOST)
        self._variables = {"SAM_LEASE_SECONDS": str(LEASE_SECONDS), **variables}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def __enter__(self) -> WorkerProcess:
        command = [
            *(sys.executable, "-m", "celery", "-A", "tests.worker.app", "worker"),
            *("--queues", ",".join(self._queues), "--hostname", f"{self._name}@{self._host}"),
            *("--pool", "threads", "--concurrency", "4", "--without-gossip", "--without-mingle"),
            *("--loglevel", "INFO"),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=PROJECT, env=self._environment(), stdout=log, stderr=log
            )
        try:
            wait_until(self._is_ready, f"{self._name} to be ready")
        except AssertionError:
            self.__exit__()
            raise
        return self

    def _is_ready(self) -> bool:
        text = self.log.read_text()
        assert self.process.poll() is None, text
        return " ready." in text

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def _environment(self) -> dict[str, str]:
        database = connection.settings_dict
        where = quote(str(database["HOST"]), safe="")
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "samproject.settings",
            "DATABASE_URL": f"postgresql://{database['USER']}:{database['PASSWORD']}@{where}/{database['NAME']}",
            "REDIS_URL": settings.REDIS_URL,
            "SECRET_KEY": settings.SECRET_KEY,
            "SAM_BACKUP_KEY": settings.SAM_BACKUP_KEY,
            "SAM_DATA_DIR": str(settings.SAM_DATA_DIR),
            "SAM_HOST_NAME": self._host,
            "SAM_JOIN_TOKEN": _token_for(self._host),
            **self._variables,
        }

    def signal(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)


def _token_for(host: str) -> str:
    """Return a token to join with; made in a thread, because some tests start workers in a loop."""

    def invite() -> str:
        try:
            return invite_host(host, who="tester")[0]
        except ConflictError:
            # Its row admits it.
            return ""
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(invite).result()


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Look again until it is so; what never happens fails the test with its name."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain for {what}"
        time.sleep(0.05)


def send_raw(name: str, arguments: Iterable[Any], queue: str = WORK) -> None:
    """Send a message as anybody with access to Redis could."""
    where: Any = Queue(queue, routing_key=queue)
    celery_app.send_task(name, args=list(arguments), queue=where)


def journal(folder: Path, word: str = "") -> list[str]:
    """Return the lines without process ids, those that begin with a word."""
    path = folder / "journal"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.rsplit(" ", 1)[0] for line in lines if line.startswith(word)]
