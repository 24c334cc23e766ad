"""Becomes, or guards, a program of the host that serves a model: the process between SAM and it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from engines.runtimes.child.messages import SandboxReport
from engines.runtimes.child.readable import libraries_of
from engines.runtimes.child.sandbox import PR_SET_PDEATHSIG, Sandbox, Surroundings, enter

PR_SET_CHILD_SUBREAPER = 36
STOP_SECONDS = 20.0
"""For what it takes to free a GPU."""
ENDED_BY_SIGNAL = 128
"""Added to a signal's number, as shells do it."""


def main(arguments: list[str]) -> None:
    """Run one program: ``arguments`` are its options as JSON."""
    options = json.loads(arguments[0])
    sandbox, command = Sandbox(**options["sandbox"]), options["command"]
    if not options["boxed"]:
        _guard(command, sandbox.parent_pid)
    surroundings = Surroundings(tuple(libraries_of(sandbox.program)), options["library_path"])
    _report(enter(sandbox, surroundings))
    # The limits, the filter and the death signal stay with what this process becomes.
    os.execv(command[0], command)  # noqa: S606 - a program that the administrator named


def _report(report: SandboxReport) -> None:
    """Tell the parent which limits hold; from now on both outputs are the log."""
    os.write(1, json.dumps(report).encode() + b"\n")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _guard(command: list[str], parent_pid: int) -> NoReturn:
    """Run a program that starts processes of its own, and leave none of them behind, however this ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, _stop)
    libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(1)
    _report({"network": "open", "files": "open", "calls": "open"})
    process = subprocess.Popen(command, preexec_fn=_die_with_parent)
    code = 0
    try:
        code = process.wait()
    except SystemExit:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    finally:
        _end_all()
    sys.exit(code if code >= 0 else ENDED_BY_SIGNAL - code)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    # Once: a second one must not end the ending.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _end_all() -> None:
    """Kill what is left; what those had started is adopted by this process and goes the same way."""
    own = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    while children := Path(own).read_text().split():
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)
