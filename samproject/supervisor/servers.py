"""What PostgreSQL and Redis have in common as servers embedded in one data folder.

The caller holds the data folder's lock, so every server found there was left by a dead supervisor.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.locations import Locations
from samproject.supervisor.processes import Child, Program, running_in
from samproject.supervisor.users import service_user

POLL_SECONDS = 0.03


class EmbeddedServer(ABC):
    """A server that runs only while its supervisor does."""

    name: str

    def __init__(self, locations: Locations) -> None:
        self._locations = locations
        self._user = service_user(locations.postgres_data)
        self._child: Child | None = None

    @abstractmethod
    def start(self) -> None:
        """Put right what a crash left, start the server and wait until it answers."""

    @property
    def pid(self) -> int:
        """The server's process id, 0 before the first start."""
        return 0 if self._child is None else self._child.pid

    def running(self) -> bool:
        return self._child is not None and self._child.running()

    def ask_to_stop(self) -> None:
        if self._child is not None:
            self._child.ask_to_stop()

    def stop(self) -> None:
        """Stop cleanly, so that the next start has nothing to recover."""
        if self._child is not None:
            self._child.stop()

    def bound_log(self) -> None:
        if self._child is not None:
            self._child.bound_log()

    def describe_end(self) -> str:
        """Return the server's exit code and last words."""
        return "it never started" if self._child is None else self._child.describe_end()

    def _launch(self, program: Program, answers: Callable[[], bool], seconds: float) -> None:
        child = self._child = Child(program)
        child.start()
        deadline = time.monotonic() + seconds
        while child.running() and time.monotonic() < deadline:
            if answers():
                return
            threading.Event().wait(POLL_SECONDS)
        child.stop()
        raise SupervisorError(f"{self.name} did not start: {child.describe_end()}")


def end_left_over(
    folder: Path, executable: str, wishes: tuple[signal.Signals, ...], seconds: float
) -> None:
    """Stop servers an earlier supervisor left on ``folder``, each wish having ``seconds`` to work.

    Pid files are not asked: they may be stale, cut short or name somebody else's process.
    """
    for wish in wishes:
        for pid in running_in(folder, executable):
            send_signal(pid, wish)
        if _gone_within(folder, executable, seconds):
            return
    raise SupervisorError(
        f"A {executable} left on {folder} does not end; see its processes with 'ps -ef'."
    )


def refuse_shared_socket(path: Path) -> None:
    """Raise SupervisorError when anybody accepts connections there; it is left alone.

    Connecting is enough: a server still loading its data does not answer yet.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return
    raise SupervisorError(
        f"Another server listens on {path} and was not touched. "
        "Stop it, or choose another SAM_DATA_DIR."
    )


def send_signal(pid: int, wish: signal.Signals) -> None:
    """Send a signal to a process that may have ended in the meantime."""
    try:
        os.kill(pid, wish)
    except ProcessLookupError:
        return


def _gone_within(folder: Path, executable: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while running_in(folder, executable):
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(POLL_SECONDS)
    return True
