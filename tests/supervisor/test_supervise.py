"""Children are started, restarted with growing delays, and stopped for certain."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from samproject.supervisor import processes, supervise
from samproject.supervisor.errors import SupervisorError
from samproject.supervisor.processes import Child, Program, run_to_end
from samproject.supervisor.supervise import Notice, Supervisor

LAST_SECONDS = 10
"""How long the kernel may take to end a process that was killed."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def python_program(tmp_path: Path) -> Callable[..., Program]:
    def make(code: str, *, stop_seconds: float = 30.0) -> Program:
        argv = (sys.executable, "-I", "-S", "-u", "-c", code)
        log = tmp_path / "program.log"
        return Program(
            "program", argv, log, environment=dict(os.environ), stop_seconds=stop_seconds
        )

    return make


def test_when_a_child_ends_then_it_is_restarted_with_growing_delays_and_the_reason(
    python_program: Callable[..., Program],
) -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if "again in 2 s" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    supervisor = Supervisor(say)
    supervisor.listen_to_signals()
    supervisor.run([], [Child(python_program("print('no disk'); raise SystemExit(3)"))])

    assert [re.sub(r"\d+\)", "N)", line) for line in lines] == [
        "program: running (process N)",
        "program: ended with exit code 3: no disk; starting it again in 1 s",
        "program: running (process N)",
        "program: ended with exit code 3: no disk | no disk; starting it again in 2 s",
        "stopping: answers under way have a few seconds to end",
        "program: stopped",
    ]


def test_when_asked_to_stop_then_every_child_has_ended(
    python_program: Callable[..., Program],
) -> None:
    child = Child(python_program("import signal; print('up'); signal.pause()"))
    supervisor = Supervisor(lambda line: os.kill(os.getpid(), signal.SIGINT))
    supervisor.listen_to_signals()

    supervisor.run([], [child])

    assert child.exit_code() is not None


def test_when_a_child_ignores_the_wish_then_it_is_killed_with_what_it_started(
    python_program: Callable[..., Program],
) -> None:
    program = python_program(
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('child', os.fork() or os.getpid())\n"
        "print('ready')\n"
        "while True: signal.pause()\n",
        stop_seconds=0.1,
    )
    child = Child(program)
    child.start()
    while program.log.read_text().count("ready") < 2:
        assert child.running()
    grandchildren = [int(word) for word in re.findall(r"child (\d+)", program.log.read_text())]

    child.stop()

    assert child.exit_code() == -signal.SIGKILL
    left = [psutil.Process(pid) for pid in grandchildren if psutil.pid_exists(pid)]
    assert psutil.wait_procs(left, timeout=LAST_SECONDS)[1] == []


def test_when_a_short_program_fails_then_the_error_quotes_its_last_words(
    python_program: Callable[..., Program],
) -> None:
    with pytest.raises(SupervisorError, match=r"program failed with exit code 7: bad flag"):
        run_to_end(python_program("print('bad flag'); raise SystemExit(7)"))


def test_given_a_large_log_when_its_process_starts_then_it_is_set_aside(
    python_program: Callable[..., Program],
) -> None:
    program = python_program("print('fresh')")
    program.log.write_bytes(b"x" * (10 * 1024 * 1024 + 1))

    run_to_end(program)

    assert program.log.read_text() == "fresh\n"
    assert program.log.with_name("program.log.1").stat().st_size == 10 * 1024 * 1024 + 1


def test_the_log_of_a_running_program_is_bounded_and_goes_on(
    python_program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 10_000)
    monkeypatch.setattr(supervise, "LOG_SECONDS", 0.0)
    program = python_program("n = 0\nwhile True: n += 1; print('line', n, flush=True)")
    aside = program.log.with_name("program.log.1")
    supervisor = Supervisor(lambda _line: None)

    def goes_on() -> bool:
        if aside.exists() and program.log.stat().st_size > 100:
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    supervisor.listen_to_signals()
    supervisor.run([], [Child(program)], [Notice(goes_on, list)])

    # Where a file begins may be the middle of a line: what came between copy and emptying is lost.
    assert aside.stat().st_size > 10_000
    for log in (aside, program.log):
        assert re.search(rb"line \d+\n", log.read_bytes())
        assert b"\0" not in log.read_bytes()


def test_a_full_disk_does_not_keep_a_log_from_being_bounded(
    python_program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 10)
    monkeypatch.setattr("shutil.copy", full)
    program = python_program("print('fresh')")
    program.log.write_text("very much that was written before")

    Child(program).bound_log()

    assert program.log.read_text() == ""


def test_a_stop_tells_for_whom_it_waits(
    python_program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "TELL_SECONDS", 0.1)
    monkeypatch.setattr(supervise, "PATIENT_SECONDS", 1.0)
    program = python_program(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready')\nwhile True: signal.pause()",
        stop_seconds=1.0,
    )
    lines: list[str] = []
    supervisor = Supervisor(lines.append)
    supervisor.listen_to_signals()

    def ready() -> bool:
        if "ready" in program.log.read_text():
            os.kill(os.getpid(), signal.SIGINT)
        return False

    supervisor.run([], [Child(program)], [Notice(ready, list)])

    assert "stopping: answers under way have a few seconds to end" in lines
    assert "stopping: waiting for program to end what they are at" in lines
    assert lines[-1] == "program: stopped"


def test_a_notice_is_given_once_and_not_before_it_is_due(
    python_program: Callable[..., Program],
) -> None:
    lines: list[str] = []
    asked = iter([False, False, True])

    def say(line: str) -> None:
        lines.append(line)
        if line == "second":
            os.kill(os.getpid(), signal.SIGTERM)

    supervisor = Supervisor(say)
    supervisor.listen_to_signals()
    notice = Notice(lambda: next(asked), lambda: ["first", "second"])
    supervisor.run([], [Child(python_program("import signal; signal.pause()"))], [notice])

    stopping = "stopping: answers under way have a few seconds to end"
    assert lines[1:] == ["first", "second", stopping, "program: stopped"]
    assert next(asked, None) is None


def test_when_the_parent_is_gone_already_then_the_guard_starts_nothing(tmp_path: Path) -> None:
    exec_child = Path(sys.modules[Child.__module__].__file__ or "").with_name("exec_child.py")
    target = tmp_path / "made"
    argv = [sys.executable, "-I", "-S", str(exec_child), "15", "1", "-", "touch", str(target)]

    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, "The supervisor is gone.\n")
    assert not target.exists()
