"""Starts an engine's child process, and gives it almost nothing of its parent.

It is started from one long-lived thread because the kernel sends the death signal when the *thread*
that started a child ends, not the process.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from engines.runtimes.child.readable import REPOSITORY
from engines.runtimes.child.sandbox import Sandbox

BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from engines.runtimes.child.main import main; main(sys.argv[1:])"
)
PROGRAM_BOOT = BOOT.replace("child.main", "child.program")
PASSED_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "GOMP_SPINCOUNT",
)
"""Which GPUs to use, where their driver's libraries are, how threads wait. Nothing else is passed on."""

DEFAULT_ENVIRONMENT = {
    # How long a thread spins while it waits for the others: libgomp's 300,000 starve a busy host.
    "GOMP_SPINCOUNT": "1000",
    # Otherwise ggml starts a debugger before it aborts, and its output hides the reason.
    "GGML_NO_BACKTRACE": "1",
}


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start a child and how long to wait for it."""

    name: str
    """The engine's name, for sentences."""
    handler: str
    """``module:callable`` of the handler, imported in the child only."""
    threads: int = 1
    memory_bytes: int = 0
    """Private memory, without mapped weights; 0 means most of the machine's."""
    readable: tuple[str, ...] = ()
    """Absolute paths of the files and folders it may read, besides interpreter and libraries."""
    start_seconds: float = 60.0
    wait_seconds: float = 600.0
    """How long a request may wait behind others."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that this runtime's libraries need besides those of every child."""


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """How to start a program of the host that serves a model."""

    name: str
    """The engine's name, for sentences."""
    command: tuple[str, ...]
    """The program's absolute path and its arguments."""
    folder: str
    """Its working folder, the only one in which it may make a socket."""
    boxed: bool = True
    """Whether it runs in the box of an engine's child; it can then start no process of its own."""
    threads: int = 1
    memory_bytes: int = 0
    """As of a child."""
    readable: tuple[str, ...] = ()
    """Absolute paths of the files and folders it may read, besides itself and its libraries."""
    environment: tuple[tuple[str, str], ...] = ()
    passed: tuple[str, ...] = ()
    """Variables of this process that it gets as well."""


_Start = Callable[[], subprocess.Popen[bytes]]
_Call = tuple[Future[subprocess.Popen[bytes]], _Start]


class _Starter:
    """Runs ``Popen`` in one daemon thread that lives as long as this process."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, popen: _Start) -> subprocess.Popen[bytes]:
        future: Future[subprocess.Popen[bytes]] = Future()
        self._ensure_thread()
        self._calls.put((future, popen))
        return future.result()

    def _ensure_thread(self) -> None:
        """Start the thread unless it runs; a forked process inherits this object but not its thread."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                # A new queue too: after a fork the old one may hold a call of the parent's.
                self._calls = queue.SimpleQueue()
                self._thread = threading.Thread(target=self._run, name="starter", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            future, popen = self._calls.get()
            try:
                future.set_result(popen())
            except OSError as error:
                future.set_exception(error)


_starter = _Starter()


def start(spec: ChildSpec) -> subprocess.Popen[bytes]:
    """Start a child that ends with this process, whichever thread asks; OSError when it cannot be."""
    return _starter.start(partial(_popen, spec))


def start_program(spec: ProgramSpec) -> subprocess.Popen[bytes]:
    """Start a host's program that ends with this process; OSError when it cannot be.

    The first line of its standard output is a SandboxReport; what it logs comes at its standard error.
    """
    return _starter.start(partial(_popen_program, spec))


def _popen(spec: ChildSpec) -> subprocess.Popen[bytes]:
    sandbox = Sandbox(os.getpid(), spec.memory_bytes, spec.readable)
    environment = _environment(spec)
    library_path = environment.get("LD_LIBRARY_PATH", "")
    options = json.dumps({"sandbox": sandbox.as_options(), "library_path": library_path})
    # Not a folder of ours: a model file's relative names must lead nowhere.
    return _python([BOOT, str(REPOSITORY), spec.handler, options], "/", environment)


def _popen_program(spec: ProgramSpec) -> subprocess.Popen[bytes]:
    sandbox = Sandbox(
        os.getpid(), spec.memory_bytes, spec.readable, program=spec.command[0], folder=spec.folder
    )
    environment = _environment(spec)
    options = {
        "sandbox": sandbox.as_options(),
        "library_path": environment.get("LD_LIBRARY_PATH", ""),
        "boxed": spec.boxed,
        "command": spec.command,
    }
    arguments = [PROGRAM_BOOT, str(REPOSITORY), json.dumps(options)]
    return _python(arguments, spec.folder, environment)


def _python(
    arguments: list[str], folder: str, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    # -I ignores PYTHON* variables and the user's packages, -B writes no bytecode; the repository is put
    # on the path by BOOT alone.
    return subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=folder,
        env=environment,
        # Ctrl-C at the terminal stops the parent, which ends the child in order.
        start_new_session=True,
    )


def _environment(spec: ChildSpec | ProgramSpec) -> dict[str, str]:
    wanted = (*PASSED_VARIABLES, *(spec.passed if isinstance(spec, ProgramSpec) else ()))
    passed = {name: os.environ[name] for name in wanted if name in os.environ}
    own = {**dict(spec.environment), "OMP_NUM_THREADS": str(spec.threads)}
    return {**DEFAULT_ENVIRONMENT, **passed, **own}
