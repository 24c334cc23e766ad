"""`sam` as a program of its own, on a machine that knows nothing but an address."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from samproject.command_line import main; sys.argv[0] = 'sam'; main()"
PATIENCE = 120.0


class Terminal:
    """A command on a terminal of its own: what is typed, and what stands on the screen."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self._screen = screen
        self._unread = ""

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def press_ctrl_c_at_the_prompt(self) -> None:
        """Press it when the command waits for a line.

        A signal between the writing of a prompt and the reading of a line waits for the next key
        (Python checks for signals before it reads, and when a read is interrupted).
        """
        process = psutil.Process(self.process.pid)
        deadline = time.monotonic() + PATIENCE
        while process.status() != psutil.STATUS_SLEEPING:
            assert time.monotonic() < deadline, "it never waits for a line"
            time.sleep(0.01)
        self.type("\x03")

    def read_to(self, words: str) -> None:
        """Read on until these words were written; AssertionError with what was there instead."""
        while words not in self._unread:
            ready, _, _ = select.select([self._screen], [], [], PATIENCE)
            assert ready, f"{words!r} was awaited after {self._unread!r}"
            try:
                self._unread += os.read(self._screen, 4096).decode()
            except OSError:
                raise AssertionError(f"it ended with {self._unread!r}") from None
        self._unread = self._unread.partition(words)[2]


@dataclass(frozen=True)
class Machine:
    """A person's computer: their home, and no database of SAM's."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def login(self) -> Path:
        """Where `sam login` keeps who they are."""
        return self.home / "sam" / "login.json"

    def sam(
        self, *arguments: str, answers: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=PROJECT,
            env=self._environment() | variables,
            input=answers,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            # Without a terminal of its own the password is read from the input.
            start_new_session=True,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that is stopped with Ctrl-C."""
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=PROJECT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # What runs the tests may have been started to ignore it.
            preexec_fn=_hear_ctrl_c,
        )

    @contextmanager
    def terminal(self, *arguments: str) -> Iterator[Terminal]:
        """Run a command on a terminal, where Ctrl-C reaches all of its processes."""
        screen, inside = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=PROJECT,
            env=self._environment(),
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(inside)
        try:
            yield Terminal(process, screen)
        finally:
            process.kill()
            process.wait()
            os.close(screen)

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "SAM_DATA_DIR": str(self.home / "nothing"),
            **self.variables,
        }


def _hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _own_terminal() -> None:
    _hear_ctrl_c()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
