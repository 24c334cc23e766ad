"""llama-cpp-python's own OpenAI-compatible server as a process of the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

KEY = "key-of-the-tests"


@dataclass(frozen=True)
class OpenAIServer:
    endpoint: str
    process: subprocess.Popen[bytes]


@contextmanager
def openai_server(model: Path, *, interrupt: bool = True) -> Iterator[OpenAIServer]:
    """The server with one model, which it names by its path."""
    port = free_port()
    options = {
        "model": model,
        "host": "127.0.0.1",
        "port": port,
        "n_ctx": 0,
        "n_threads": 1,
        "n_threads_batch": 1,
        "logits_all": False,
        "embedding": True,
        "verbose": False,
        "api_key": KEY,
        "interrupt_requests": interrupt,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    environment = {**os.environ, "GOMP_SPINCOUNT": "1000", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "llama_cpp.server", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        endpoint = f"http://127.0.0.1:{port}/v1"
        _wait_until_it_answers(endpoint, process)
        yield OpenAIServer(endpoint, process)
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    while True:
        assert process.poll() is None, "the server ended while it started"
        with suppress(httpx2.ConnectError):
            httpx2.get(f"{endpoint}/models", headers={"Authorization": f"Bearer {KEY}"})
            return
        time.sleep(0.1)
