from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

_REACH = "import sys; from engines.faults import faultpoint; faultpoint(sys.argv[1]); print('past')"


def _start(name: str, folder: Path | None) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key != "SAM_FAULTS"}
    if folder is not None:
        environment["SAM_FAULTS"] = str(folder)
    return subprocess.Popen(
        [sys.executable, "-c", _REACH, name],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_until(done: Callable[[], bool]) -> None:
    never = threading.Event()
    while not done():
        never.wait(0.01)


def _held_at(folder: Path, name: str) -> subprocess.Popen[str]:
    (folder / f"{name}.arm").touch()
    process = _start(name, folder)
    _wait_until((folder / f"{name}.hit").exists)
    return process


def test_an_armed_point_holds_the_process_that_reaches_it_so_that_it_can_be_killed(
    tmp_path: Path,
) -> None:
    process = _held_at(tmp_path, "migrate.re_embed:half")

    assert (tmp_path / "migrate.re_embed:half.hit").read_text() == str(process.pid)
    assert [path.name for path in tmp_path.iterdir()] == ["migrate.re_embed:half.hit"]
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.communicate() == ("", "")
    assert process.returncode == -signal.SIGKILL


def test_a_held_process_goes_on_when_told_to(tmp_path: Path) -> None:
    process = _held_at(tmp_path, "point")

    (tmp_path / "point.go").touch()

    assert process.communicate() == ("past\n", "")
    assert process.returncode == 0


def test_one_of_several_processes_is_held_and_the_others_pass(tmp_path: Path) -> None:
    (tmp_path / "point.arm").touch()
    processes = [_start("point", tmp_path) for _ in range(4)]
    _wait_until(lambda: sum(process.poll() is None for process in processes) == 1)
    _wait_until((tmp_path / "point.hit").exists)
    held = next(process for process in processes if process.poll() is None)

    assert (tmp_path / "point.hit").read_text() == str(held.pid)
    (tmp_path / "point.go").touch()
    assert [process.communicate() for process in processes] == [("past\n", "")] * 4


@pytest.mark.parametrize("armed", ["other", None])
def test_a_point_that_is_not_armed_is_passed(tmp_path: Path, armed: str | None) -> None:
    if armed is not None:
        (tmp_path / f"{armed}.arm").touch()
    process = _start("point", tmp_path)

    assert process.communicate() == ("past\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ([f"{armed}.arm"] if armed else [])


def test_without_the_variable_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "point.arm").touch()
    process = _start("point", None)

    assert process.communicate() == ("past\n", "")
    assert (tmp_path / "point.arm").exists()


@pytest.mark.parametrize("name", ["../point", "a/b", "", "a b", "x" * 121])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    process = _start(name, tmp_path)

    assert "not a valid name for a fault point" in process.communicate()[1]
    assert process.returncode == 1
    assert list(tmp_path.iterdir()) == []
