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
from concurrent.futures import Future
from dataclasses import dataclass

from engines.runtimes.child.readable import REPOSITORY
from engines.runtimes.child.sandbox import Sandbox

BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from engines.runtimes.child.main import main; main(sys.argv[1:])"
)
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


_Call = tuple[Future[subprocess.Popen[bytes]], ChildSpec]


class _Starter:
    """Runs ``Popen`` in one daemon thread that lives as long as this process."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, spec: ChildSpec) -> subprocess.Popen[bytes]:
        future: Future[subprocess.Popen[bytes]] = Future()
        self._ensure_thread()
        self._calls.put((future, spec))
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
            future, spec = self._calls.get()
            try:
                future.set_result(_popen(spec))
            except OSError as error:
                future.set_exception(error)


_starter = _Starter()


def start(spec: ChildSpec) -> subprocess.Popen[bytes]:
    """Start a child that ends with this process, whichever thread asks; OSError when it cannot be."""
    return _starter.start(spec)


def _popen(spec: ChildSpec) -> subprocess.Popen[bytes]:
    sandbox = Sandbox(os.getpid(), spec.memory_bytes, spec.readable)
    environment = _environment(spec)
    library_path = environment.get("LD_LIBRARY_PATH", "")
    options = json.dumps({"sandbox": sandbox.as_options(), "library_path": library_path})
    # -I ignores PYTHON* variables and the user's packages, -B writes no bytecode; the repository is put
    # on the path by BOOT alone.
    command = [sys.executable, "-I", "-B", "-c", BOOT, str(REPOSITORY), spec.handler, options]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        # Not a folder of ours: a model file's relative names must lead nowhere.
        cwd="/",
        env=environment,
        # Ctrl-C at the terminal stops the parent, which ends the child in order.
        start_new_session=True,
    )


def _environment(spec: ChildSpec) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    own = {**dict(spec.environment), "OMP_NUM_THREADS": str(spec.threads)}
    return {**DEFAULT_ENVIRONMENT, **passed, **own}
