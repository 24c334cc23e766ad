"""All of SAM's processes for a benchmark, as ``manage.py up`` starts them, web server included."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from django.conf import settings
from django.db import close_old_connections

from engines.models import Host
from migrations_app.serving.redis_keys import engines_key, redis_client
from tests.benchmarks.line_process import REPOSITORY

PATIENCE = 120.0


class SamStack:
    """``manage.py up`` without Flower on the benchmark's database and Redis; alive inside the ``with``."""

    def __init__(self, folder: Path, **variables: str) -> None:
        """``variables`` are settings of SAM's, for all its processes."""
        self._folder = folder
        self._variables = variables
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where an OpenAI client is pointed to."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> SamStack:
        command = [sys.executable, "manage.py", "up", "--no-flower", "--port", str(self._port)]
        log = (self._folder / "up.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                command, cwd=REPOSITORY, env=self._environment(), stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not (self._web_answers() and _live_worker_announces()):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"SAM did not start: {(self._folder / 'up.log').read_text()}")
            time.sleep(0.2)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)

    def _environment(self) -> dict[str, str]:
        database = settings.DATABASES["default"]
        where = quote(str(database["HOST"]), safe="")
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "samproject.settings",
            "DATABASE_URL": f"postgresql://{database['USER']}:{database['PASSWORD']}@{where}/{database['NAME']}",
            "REDIS_URL": settings.REDIS_URL,
            "SECRET_KEY": settings.SECRET_KEY,
            "SAM_BACKUP_KEY": settings.SAM_BACKUP_KEY,
            "SAM_DATA_DIR": str(self._folder),
            "SAM_HOST_NAME": settings.SAM_HOST_NAME,
            **self._variables,
        }

    def _web_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/healthz", timeout=5):
                return True
        except (urllib.error.URLError, TimeoutError):
            return False


def _live_worker_announces() -> bool:
    """Whether the worker that answers has said what it can, and that it is there."""
    announced = Host.objects.filter(
        name=settings.SAM_HOST_NAME, announces__contains=["live.stream"]
    ).exists()
    close_old_connections()
    return announced and bool(
        redis_client(settings.REDIS_URL).exists(engines_key(settings.SAM_HOST_NAME))
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
