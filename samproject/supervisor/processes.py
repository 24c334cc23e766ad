"""One child process: started through the guard, logged to a file, stopped for certain."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.users import ServiceUser

EXEC_CHILD = Path(__file__).with_name("exec_child.py")
MAX_LOG_BYTES = 10 * 1024 * 1024
"""A log above this size is set aside as ``.1``; so a program's logs hold at most twice as much."""

TAIL_LINES = 5
TAIL_BYTES = 4096
KILL_WAIT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how it wants to end."""

    name: str
    argv: tuple[str, ...]
    log: Path
    folder: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=dict)
    user: ServiceUser | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 30.0


class Child:
    """A running program in a session of its own.

    Start it from a thread that lives as long as the supervisor: the kernel ends a child together
    with the thread that started it.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_at: float | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int:
        """The process id, 0 before the first start."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the program; its output is appended to its log."""
        program = self.program
        self.bound_log()
        self._asked_at = None
        with program.log.open("ab") as log:
            self._process = subprocess.Popen(
                guarded(program.argv, program.user, program.stop_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=program.folder,
                env=dict(program.environment),
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        """Return how it ended (minus the signal's number), or None while it runs or never ran."""
        return None if self._process is None else self._process.poll()

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self) -> None:
        """Wait until the program ends by itself."""
        if self._process is not None:
            self._process.wait()

    def ask_to_stop(self) -> None:
        """Send the program's own stop signal, when it runs."""
        if self._process is not None and self.running():
            self._asked_at = self._asked_at or time.monotonic()
            self._process.send_signal(self.program.stop_signal)

    def stop(self) -> None:
        """End the program: politely, and ``stop_seconds`` after it was asked with all that it started."""
        if self._process is None:
            return
        if self._asked_at is None:
            self.ask_to_stop()
        waited = 0.0 if self._asked_at is None else time.monotonic() - self._asked_at
        try:
            self._process.wait(max(self.program.stop_seconds - waited, 0.0))
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(KILL_WAIT_SECONDS)

    def bound_log(self) -> None:
        """Set a large log aside.

        The program goes on writing to the same file: it appends, so emptying the file is enough. What
        it writes between the copy and the emptying is lost.
        """
        log = self.program.log
        if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
            # A disk that is too full for the copy needs the emptying all the more.
            with suppress(OSError):
                shutil.copy(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)

    def describe_end(self) -> str:
        """Return the exit code and the last lines of the log, for an error's sentence."""
        with self.program.log.open("rb") as log:
            log.seek(max(0, self.program.log.stat().st_size - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return f"exit code {self.exit_code()}: {' | '.join(lines[-TAIL_LINES:])}"


def guarded(
    argv: tuple[str, ...], user: ServiceUser | None, death_signal: signal.Signals
) -> list[str]:
    """Return the command line that runs ``argv`` as ``user`` and ends it when this process dies."""
    owner = "-" if user is None else ":".join(map(str, (user.uid, user.gid, *user.groups)))
    # -I and -S: nothing from the environment or site-packages runs before the user is changed.
    guard = [sys.executable, "-I", "-S", str(EXEC_CHILD), str(int(death_signal)), str(os.getpid())]
    return [*guard, owner, *argv]


def run_to_end(program: Program) -> None:
    """Run a short program; raises SupervisorError with the end of its output when it fails."""
    child = Child(program)
    child.start()
    try:
        child.wait()
    finally:
        child.stop()
    if child.exit_code() != 0:
        raise SupervisorError(f"{program.name} failed with {child.describe_end()}")


def running_in(folder: Path, executable: str) -> list[int]:
    """Return the processes of this program whose working folder is ``folder``.

    Processes of others that we may not look at are not ours and are left out.
    """
    wanted = str(folder.resolve())
    return [pid for pid in _process_ids() if _is_at(pid, wanted, executable)]


def _process_ids() -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        yield int(entry.name)


def _is_at(pid: int, folder: str, executable: str) -> bool:
    try:
        is_there = str(Path(f"/proc/{pid}/cwd").readlink()) == folder
        return is_there and _program_of(pid) == executable
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return False


def _program_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
    except FileNotFoundError:
        # It ends, and its memory goes before its folder: PostgreSQL refuses to start while an old process
        # is giving back what they shared.
        return Path(f"/proc/{pid}/comm").read_text().strip()
