"""The web process as it runs in production, a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import psutil

PROJECT = Path(__file__).resolve().parent.parent.parent
ADDRESS = re.compile(r"running on (http://[0-9.]+:[0-9]+)")
PATIENCE = 120.0


class WebProcess:
    """uvicorn with SAM; ended with the block."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.log = folder / "web.log"
        self.address = ""
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    def __enter__(self) -> WebProcess:
        command = [
            *(sys.executable, "-m", "samproject.web", "--host", "127.0.0.1", "--port", "0"),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=PROJECT, env=self._environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not (found := ADDRESS.search(self.log.read_text())):
            assert time.monotonic() < deadline, self.log.read_text()
            assert self._process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        self.address = found.group(1)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def client(self, token: str, **options: Any) -> httpx2.Client:
        """A client with a token, as an AI client is set up: a base address and a key."""
        return httpx2.Client(**_set_up(self.address, token), **options)

    def async_client(self, token: str, **options: Any) -> httpx2.AsyncClient:
        """The same for an event loop."""
        return httpx2.AsyncClient(**_set_up(self.address, token), **options)


def _set_up(address: str, token: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return {"base_url": f"{address}/v1/", "headers": headers, "timeout": PATIENCE}
