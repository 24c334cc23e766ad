"""A program that SAM starts: waited for, explained, ended with all it has started."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engines.exceptions import EngineCrashed, EngineError, InvalidRequestError
from engines.runtimes.child.sandbox import missing_parts
from engines.runtimes.child.start import ProgramSpec
from engines.runtimes.programs.finding import LLAMA_SERVER, find_program
from engines.runtimes.programs.process import CRASHES, CrashCounter, ServedProgram
from tests.runtimes.programs.conftest import write_program

LONG = 60.0
HOLD = """
import time
from engines.runtimes.child.start import ProgramSpec
from engines.runtimes.programs.process import ServedProgram
boxed = ServedProgram(ProgramSpec("boxed", ("/bin/sleep", "3604"), "/tmp"))
command = ("/bin/sh", "-c", "sleep 3605 & setsid sleep 3606 & sleep 3607")
guarded = ServedProgram(ProgramSpec("guarded", command, "/tmp", boxed=False))
print(boxed.pid, guarded.pid, flush=True)
time.sleep(3600)
"""
"""A worker that has a program of each kind."""


def _shell(folder: Path, script: str, *, boxed: bool = True) -> ServedProgram:
    return ServedProgram(ProgramSpec("bold", ("/bin/sh", "-c", script), str(folder), boxed=boxed))


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        ("echo no room >&2; exit 3", EngineError, r"sh of engine bold ended with exit code 3 .last words: no room"),
        ("kill -SEGV $$", EngineCrashed, "was ended by signal SIGSEGV"),
        ("kill -ILL $$", EngineError, "SIGILL.*built for another processor"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_start_says_why(
    tmp_path: Path, script: str, kind: type[EngineError], says: str
) -> None:
    program = _shell(tmp_path, script)

    with pytest.raises(kind, match=says) as caught:
        program.wait_ready(lambda: False, LONG)

    assert type(caught.value) is kind
    assert not program.is_alive()
    program.stop()


def test_one_that_is_never_ready_is_ended_and_quoted(tmp_path: Path) -> None:
    program = _shell(tmp_path, "echo still compiling >&2; exec sleep 3600", boxed=False)

    with pytest.raises(EngineError, match=r"not ready after 1 s and was ended .*still compiling"):
        program.wait_ready(lambda: False, 1.0)

    assert not psutil.pid_exists(program.pid)


def test_nothing_of_the_log_is_quoted_once_people_may_have_written_to_it(tmp_path: Path) -> None:
    script = "echo started >&2; read line; echo a secret of Ada >&2; exit 4"
    program = _shell(tmp_path, script, boxed=False)
    program.wait_ready(lambda: True, LONG)
    program.stop()

    assert "Ada" not in str(program.explain_end())
    assert "started" not in str(program.explain_end())


def test_ending_a_guarded_program_ends_what_it_has_started(tmp_path: Path) -> None:
    # One of them has left its session.
    script = "setsid sleep 3601 & sleep 3602 & echo up > up; sleep 3603"
    program = _shell(tmp_path, script, boxed=False)
    program.wait_ready((tmp_path / "up").exists, LONG)
    _wait_until(lambda: len(_below(program.pid)) == 4)
    below = _below(program.pid)

    program.stop()

    assert not [pid for pid in below if _lives(pid)]


def test_nothing_is_left_when_the_worker_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        boxed, guarded = map(int, worker.stdout.readline().split())
        _wait_until(lambda: len(_below(guarded)) == 4)
        family = [boxed, guarded, *_below(guarded)]

        worker.kill()

    _wait_until(lambda: not any(map(_lives, family)))


@pytest.mark.attack
@pytest.mark.skipif(bool(missing_parts()), reason="this kernel lacks a part of the box")
def test_a_boxed_program_reaches_nothing_but_its_socket(
    tmp_path: Path, python_in_the_box: object
) -> None:
    path = write_program(tmp_path, "probe", "probe")
    folder = tmp_path / "own"
    folder.mkdir()
    (tmp_path / "secret").write_text("of somebody")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()
        command = (str(path), str(tmp_path / "s"), str(tmp_path / "secret"))
        program = ServedProgram(ProgramSpec("bold", command, str(folder)))
        with pytest.raises(EngineError) as caught:
            program.wait_ready(lambda: False, LONG)

    assert "last words: done: allowed)" in str(caught.value)
    assert program.sandbox["files"] == "model only"
    assert program.sandbox["no_capabilities"]
    assert program.sandbox["network"] in ("isolated", "filtered")
    assert (folder / "own.sock").exists()


def test_a_program_is_started_again_unless_it_crashes_again_and_again() -> None:
    crashes = CrashCounter()
    for _ in range(CRASHES - 1):
        crashes.add()
        crashes.require_hope("bold")
    crashes.add()

    with pytest.raises(EngineError, match="bold crashed 3 times within 10 minutes"):
        crashes.require_hope("bold")


def test_a_missing_program_is_named_with_its_setting() -> None:
    with pytest.raises(InvalidRequestError, match=r"no llama-server at /no/such.*SAM_LLAMA_SERVER"):
        find_program(LLAMA_SERVER, "/no/such")
    assert find_program(LLAMA_SERVER, "sh").endswith("/sh")


def _below(pid: int) -> list[int]:
    return [each.pid for each in psutil.Process(pid).children(recursive=True)]


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not holds():
        pause.wait(0.02)
