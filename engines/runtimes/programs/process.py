"""A host's program that serves one model: started in its box, waited for, ended, and why it ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engines.exceptions import EngineCrashed, EngineError, EngineKilled
from engines.runtimes.child.exit_reason import FROM_OUTSIDE, StderrTail, describe_exit
from engines.runtimes.child.messages import SandboxReport
from engines.runtimes.child.program import ENDED_BY_SIGNAL, STOP_SECONDS
from engines.runtimes.child.start import ProgramSpec, start_program

POLL_SECONDS = 0.05
END_SECONDS = STOP_SECONDS + 5.0
BREAK_SECONDS = 5.0
"""Within which a program whose connections broke is gone as well."""
CRASHES = 3
CRASH_SECONDS = 600.0


class ServedProgram:
    """One process; any thread may call."""

    def __init__(self, spec: ProgramSpec) -> None:
        """Start it; EngineError when that is not possible."""
        self._spec = spec
        self._what = f"{Path(spec.command[0]).name} of engine {spec.name}"
        self._log = StderrTail()
        self._was_ready = False
        self._ending = threading.Lock()
        try:
            self._process = start_program(spec)
        except OSError as error:
            raise EngineError(f"{self._what} could not be started: {error}.") from error
        self._log.follow(self._process.stderr)
        self.sandbox = self._read_report()
        """Which limits hold."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self, is_ready: Callable[[], bool], seconds: float) -> None:
        """Return when it answers; EngineCrashed or EngineError with what it said last when it does not.

        From then on nothing of its log is kept: it may hold what people wrote.
        """
        deadline = time.monotonic() + seconds
        while not is_ready():
            if not self.is_alive():
                self.stop()
                raise self.explain_end()
            if time.monotonic() > deadline:
                self.stop()
                raise EngineError(
                    f"{self._what} was not ready after {seconds:.0f} s and was ended"
                    f"{self._log.last_line()}."
                )
            time.sleep(POLL_SECONDS)
        self._was_ready = True
        self._log.keep_nothing()

    def stop(self) -> None:
        """End it and all it has started; safe to call twice."""
        with self._ending:
            if self.is_alive():
                self._process.terminate()
                try:
                    self._process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    # It has a group of its own.
                    with suppress(ProcessLookupError):
                        os.killpg(self._process.pid, signal.SIGKILL)
                    self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._log.finish()

    def explain_break(self) -> EngineError | None:
        """Return why a connection broke, if it is because the program ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(BREAK_SECONDS)
        return None if self.is_alive() else self.explain_end()

    def explain_end(self) -> EngineError:
        """Return why it ended: EngineKilled from outside, EngineCrashed by itself, else EngineError."""
        code = self._process.wait()
        number = code - ENDED_BY_SIGNAL if code > ENDED_BY_SIGNAL else -code
        said = "" if self._was_ready else self._log.last_line()
        why = f"{self._what} {describe_exit(code if number <= 0 else -number)}{said}."
        if number in FROM_OUTSIDE:
            return EngineKilled(why)
        if number == signal.SIGILL:
            # No model file is to blame for that.
            return EngineError(
                f"{why} It was built for another processor; install one for this host's."
            )
        # With an exit code it has found the reason itself.
        return EngineCrashed(why) if number > 0 or self._was_ready else EngineError(why)

    def _read_report(self) -> SandboxReport:
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            raise self.explain_end()
        report: SandboxReport = json.loads(line)
        return report


def listens(path: str) -> bool:
    """Whether somebody listens on a Unix socket."""
    # Not by a client: it leaves its socket open when nobody is there.
    with socket.socket(socket.AF_UNIX) as way:
        try:
            way.connect(path)
        except OSError:
            return False
        return True


class CrashCounter:
    """Lets a program be started again after a crash, unless it crashes again and again."""

    def __init__(self) -> None:
        self._crashes: deque[float] = deque(maxlen=CRASHES)

    def add(self) -> None:
        self._crashes.append(time.monotonic())

    def require_hope(self, name: str) -> None:
        """EngineError when it has crashed too often of late."""
        many = len(self._crashes) == CRASHES
        if many and time.monotonic() - self._crashes[0] < CRASH_SECONDS:
            raise EngineError(
                f"Engine {name} crashed {CRASHES} times within {CRASH_SECONDS / 60:.0f} minutes and is "
                "not started again for now; try another model, another version of its program, or the "
                "runtime llama_cpp."
            )
