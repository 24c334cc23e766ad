"""The supervised child that runs native code: one request at a time, a crash is a sentence.

The child gets no environment but the variables named here, no network where the kernel allows,
and dies with this process. It is started from one long-lived thread because the kernel sends
the death signal when the *thread* that started a child ends, not the process.
"""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engines.exceptions import (
    AdapterMismatchError,
    EngineCrashed,
    EngineError,
    EngineKilled,
    InvalidRequestError,
    SamError,
    TextNotEmbeddableError,
)
from engines.runtimes.frames import Frame, read_frame
from engines.runtimes.sandbox import Sandbox

REPOSITORY = Path(__file__).resolve().parents[2]
BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from engines.runtimes.child_main import main; main(sys.argv[1:])"
)
PASSED_ON = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "GOMP_SPINCOUNT")
"""Which GPUs to use, where their driver's libraries lie, how threads wait; nothing else reaches the child."""

USUAL = {
    # Turns a thread waits actively for the others: libgomp's 300,000 starve a busy host.
    "GOMP_SPINCOUNT": "1000",
    # Otherwise ggml starts a debugger before it aborts, and its words hide the reason.
    "GGML_NO_BACKTRACE": "1",
}
FROM_OUTSIDE = frozenset(
    {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
)
"""Signals that say nothing about what the child was doing; the kernel sends SIGKILL when memory ends."""
AGAIN = " The next request starts it again."
STDERR_KEPT = 64 * 1024
STDERR_QUOTED = 300
CANCEL_SECONDS = 10.0
STOP_SECONDS = 5.0
PIPE_BLOCK = 1024 * 1024
ERRORS: dict[str, type[SamError]] = {
    kind.code: kind for kind in (AdapterMismatchError, InvalidRequestError, TextNotEmbeddableError)
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
    start_seconds: float = 60.0
    wait_seconds: float = 600.0
    """How long a request waits for the one before it."""


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
        """A forked process inherits this object but not its thread."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
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


def _popen(spec: ChildSpec) -> subprocess.Popen[bytes]:
    sandbox = Sandbox(parent_pid=os.getpid(), memory_bytes=spec.memory_bytes)
    options = json.dumps({"sandbox": sandbox.as_options()})
    command = [sys.executable, "-I", "-B", "-c", BOOT, str(REPOSITORY), spec.handler, options]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd="/",
        env=_environment(spec.threads),
        start_new_session=True,
    )


def _environment(threads: int) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**USUAL, **passed, "OMP_NUM_THREADS": str(threads)}


class ChildProcess:
    """Client of one child; any thread may call, requests go one at a time.

    A stream holds the child until it is exhausted or closed; another request waits
    ``wait_seconds`` for that and then fails. A child that died is not restarted here:
    the engine does that, because it knows what to load.
    """

    def __init__(self, spec: ChildSpec) -> None:
        self._spec = spec
        self._turn = threading.Lock()
        self._last_id = 0
        self._stderr = _Tail()
        self._process = self._start()
        self.sandbox: dict[str, Any] = {}
        """Which limits hold, as the child found them; empty before its greeting."""

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            process = _starter.start(self._spec)
        except OSError as error:
            raise EngineError(
                f"The process of engine {self._spec.name} could not be started: {error}."
            ) from error
        self._stderr.follow(process.stderr)
        for pipe in (process.stdin, process.stdout):
            os.set_blocking(_fileno(pipe), False)
        return process

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self) -> None:
        """Wait for the child's greeting; EngineCrashed when it does not come."""
        with self._my_turn():
            greeting = self._receive(time.monotonic() + self._spec.start_seconds)
            self.sandbox = dict(greeting.header["sandbox"])

    def request(self, operation: str, timeout: float, **parameters: Any) -> Frame:
        """Send one request and return its answer.

        Raises EngineCrashed when the child dies or does not answer in ``timeout`` seconds (it
        is then ended, since nobody knows what it is doing), or the error the child reports.
        """
        with self._my_turn():
            deadline = time.monotonic() + timeout
            number = self._send(operation, parameters, deadline)
            return _checked(self._receive_for(number, deadline))

    def stream(
        self, operation: str, timeout: float, **parameters: Any
    ) -> Generator[Any, None, Frame]:
        """Send one request and yield its pieces; the generator's value is the last frame.

        ``timeout`` seconds may pass between two pieces. Closing the generator cancels the
        request in the child.
        """
        with self._my_turn():
            number = self._send(operation, parameters, time.monotonic() + timeout)
            finished = False
            try:
                while True:
                    frame = self._receive_for(number, time.monotonic() + timeout)
                    if frame.header.get("end"):
                        finished = True
                        return _checked(frame)
                    yield frame.header["piece"]
            finally:
                if not finished:
                    self._cancel(number)

    def stop(self, patience: float = 0.0) -> None:
        """End the child after the request in flight, or without it after ``patience`` seconds."""
        if not self._turn.acquire(timeout=patience):
            self._kill()
            if not self._turn.acquire(timeout=STOP_SECONDS):
                # Somebody keeps a stream open without reading it; closing a pipe under it could
                # hand its number to another file. The stream's end finds the process gone.
                return
        try:
            self._close()
        finally:
            self._turn.release()

    def _close(self) -> None:
        """Closing its input asks a child to end; one that does not is killed."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        self._stderr.finish()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _my_turn(self) -> _Turn:
        return _Turn(self._turn, self._spec)

    def _cancel(self, number: int) -> None:
        """Stop request ``number`` and read its rest, so that the next request finds a clean pipe."""
        if not self.is_alive():
            return
        deadline = time.monotonic() + CANCEL_SECONDS
        try:
            self._write(Frame({"id": number, "op": "cancel"}).encode(), deadline)
            while not self._receive_for(number, deadline).header.get("end"):
                continue
        except EngineCrashed:
            # The stream's reader is gone: the next request reports and restarts.
            return

    def _send(self, operation: str, parameters: dict[str, Any], deadline: float) -> int:
        self._last_id += 1
        header = {"id": self._last_id, "op": operation, "parameters": parameters}
        self._write(Frame(header).encode(), deadline)
        return self._last_id

    def _receive_for(self, number: int, deadline: float) -> Frame:
        frame = self._receive(deadline)
        while frame.header.get("id") != number:
            frame = self._receive(deadline)
        return frame

    def _receive(self, deadline: float) -> Frame:
        try:
            return read_frame(lambda size: self._read_exactly(size, deadline))
        except EngineCrashed:
            raise
        except (SamError, ValueError) as error:
            self._kill()
            raise EngineCrashed(
                f"Engine {self._spec.name} sent a message that cannot be read ({error}); its "
                f"process was ended.{AGAIN}"
            ) from error

    def _read_exactly(self, size: int, deadline: float) -> bytes:
        pipe = _fileno(self._process.stdout)
        data = bytearray()
        while len(data) < size:
            self._poll(pipe, select.POLLIN, deadline)
            block = os.read(pipe, min(size - len(data), PIPE_BLOCK))
            if not block:
                raise self._crash()
            data += block
        return bytes(data)

    def _write(self, data: bytes, deadline: float) -> None:
        pipe = _fileno(self._process.stdin)
        view = memoryview(data)
        while view:
            self._poll(pipe, select.POLLOUT, deadline)
            try:
                view = view[os.write(pipe, view[:PIPE_BLOCK]) :]
            except BrokenPipeError:
                raise self._crash() from None

    def _poll(self, pipe: int, event: int, deadline: float) -> None:
        poller = select.poll()
        poller.register(pipe, event)
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            self._kill()
            raise EngineCrashed(
                f"Engine {self._spec.name} did not answer in time and its process was ended.{AGAIN}"
            )

    def _crash(self) -> EngineCrashed:
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.returncode
        kind = EngineKilled if -code in FROM_OUTSIDE else EngineCrashed
        ending = f"{_ending(code)}{self._stderr.last_line()}."
        return kind(f"The process of engine {self._spec.name} {ending}{AGAIN}")


class _Turn:
    """The child's lock with a limit; released by whichever thread ends the stream."""

    def __init__(self, lock: threading.Lock, spec: ChildSpec) -> None:
        self._lock = lock
        self._spec = spec

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=self._spec.wait_seconds):
            raise EngineError(
                f"Engine {self._spec.name} has been busy with another request for "
                f"{self._spec.wait_seconds:.0f} s; try again later."
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class _Tail:
    """The last bytes a child wrote to stderr; always read, so the child never blocks on it."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._thread: threading.Thread | None = None

    def follow(self, pipe: IO[bytes] | None) -> None:
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while block := pipe.read(4096):
                self._bytes += block
                del self._bytes[:-STDERR_KEPT]

    def finish(self) -> None:
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def last_line(self) -> str:
        """`` (last words: …)``, or nothing when the child was silent."""
        self.finish()
        lines = self._bytes.decode("utf-8", "replace").strip().splitlines()
        if not lines:
            return ""
        words = "".join(letter if letter.isprintable() else " " for letter in lines[-1])
        return f" (last words: {words[:STDERR_QUOTED]})"


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _checked(frame: Frame) -> Frame:
    """The answer, or the error it carries as an exception."""
    if "error" in frame.header:
        kind = ERRORS.get(frame.header["error"], EngineError)
        raise kind(str(frame.header["message"]))
    return frame


def _fileno(pipe: IO[bytes] | None) -> int:
    if pipe is None or pipe.closed:
        raise EngineKilled(f"The engine's process was ended.{AGAIN}")
    return pipe.fileno()
