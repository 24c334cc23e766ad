"""The supervised child that runs native code: many requests at once, a crash becomes a sentence.

The child gets no environment but the variables named in ``start``, has no network where the kernel allows
that, and dies with this process. Locks: ``_changed`` guards the open calls, ``_writing`` the pipe to the
child; neither is ever taken while the other is held.
"""

from __future__ import annotations

import os
import queue
import select
import subprocess
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import IO, Any

from engines.exceptions import (
    AdapterMismatchError,
    ContextLengthError,
    EngineCrashed,
    EngineError,
    EngineKilled,
    InvalidRequestError,
    SamError,
    TextNotEmbeddableError,
)
from engines.runtimes.child.exit_reason import FROM_OUTSIDE, StderrTail, describe_exit
from engines.runtimes.child.frames import Frame, read_frame
from engines.runtimes.child.messages import EmittedPiece, SandboxReport
from engines.runtimes.child.start import ChildSpec, start

RESTART_HINT = " The next request starts it again."
CANCEL_SECONDS = 10.0
CANCEL_POLL_SECONDS = 0.1
STOP_SECONDS = 5.0
PIPE_BLOCK = 1024 * 1024
READ_BLOCK = 64 * 1024
"""What a pipe of Linux holds."""
ERRORS: dict[str, type[SamError]] = {
    kind.code: kind
    for kind in (
        AdapterMismatchError,
        ContextLengthError,
        InvalidRequestError,
        TextNotEmbeddableError,
    )
}


class _Call:
    """One request in flight."""

    def __init__(self, number: int, cancelled: threading.Event | None = None) -> None:
        self.number = number
        self.frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        """What the child answers; ``None`` when it is gone."""
        self.begun = False
        """Whether the child works on it; before that it waits behind others."""
        self.cancelled = cancelled
        """Set by the reader that wants no more; ``None`` once the child was told."""


class ChildProcess:
    """Client of one child; any thread may call, and a slow answer does not hold up the others.

    The child decides how many requests it computes at the same time; one that it has not begun after
    ``wait_seconds`` fails. A child that died is not restarted here: the engine does that, because it
    knows what to load.
    """

    def __init__(self, spec: ChildSpec) -> None:
        self._spec = spec
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._last_id = 0
        self._greeting = _Call(0)
        self._greeting.begun = True
        self._calls = {0: self._greeting}
        self._is_gone = False
        self._cause: EngineCrashed | None = None
        self._stderr = StderrTail()
        self._unread = bytearray()
        """What came of the child and is not delivered yet; the reading thread's."""
        self._process = self._start()
        self._reader = threading.Thread(target=self._read, name=f"{spec.name} pipe", daemon=True)
        self._reader.start()
        self.sandbox: SandboxReport = {}
        """Which limits hold, as the child reports; empty before its greeting."""

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            process = start(self._spec)
        except OSError as error:
            raise EngineError(
                f"The process of engine {self._spec.name} could not be started: {error}."
            ) from error
        # Read from the start: a child that fills the pipe would block in its first line of log.
        self._stderr.follow(process.stderr)
        # Not blocking, so that a child that stops reading cannot hold a writer beyond its timeout.
        os.set_blocking(_fileno(process.stdin), False)
        return process

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self) -> None:
        """Wait for the child's greeting; EngineCrashed when it does not come."""
        greeting = self._next(self._greeting, self._spec.start_seconds)
        self.sandbox = greeting.header["sandbox"]

    def request(self, operation: str, timeout: float, **parameters: Any) -> Frame:
        """Send one request and return its answer.

        Raises EngineCrashed when the child dies or does not answer in ``timeout`` seconds after it
        began (it is then killed: nothing else stops native code), EngineError when it does not
        begin, or the error the child reports.
        """
        answer = self.stream(operation, timeout, **parameters)
        while True:
            try:
                next(answer)
            except StopIteration as end:
                frame: Frame = end.value
                return frame

    def stream(
        self,
        operation: str,
        timeout: float,
        *,
        cancelled: threading.Event | None = None,
        **parameters: Any,
    ) -> Generator[EmittedPiece, None, Frame]:
        """Send one request and yield its pieces; the generator's value is the last frame.

        ``timeout`` seconds may pass between two pieces. Setting ``cancelled`` lets the child end the
        answer where it is; closing the generator cancels the request and forgets it.
        """
        call = self._open(cancelled)
        try:
            self._send(call, operation, parameters, timeout)
            while not (frame := self._next(call, timeout)).header.get("end"):
                yield frame.header["piece"]
            return _require_success(frame)
        finally:
            self._forget(call)

    def stop(self, patience: float = 0.0) -> None:
        """End the child when the requests in flight are done, or after ``patience`` seconds."""
        with self._changed:
            is_idle = self._changed.wait_for(lambda: not self._calls, patience)
        if not is_idle:
            self._kill()
        with self._writing:
            # A closed input is the child's order to end; one that does not obey is killed.
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        # A file must not be closed under a thread that reads it: its number could be another file's.
        self._reader.join(STOP_SECONDS)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()
        self._stderr.finish()

    def _kill(self, why: str = "") -> EngineCrashed:
        """Kill the child; all its callers get ``why`` as the reason, unless there was one before."""
        if why and self._cause is None:
            self._cause = EngineCrashed(f"Engine {self._spec.name} {why}.{RESTART_HINT}")
        self._process.kill()
        self._process.wait()
        return self._cause or self._explain_crash()

    def _open(self, cancelled: threading.Event | None) -> _Call:
        with self._changed:
            self._last_id += 1
            call = _Call(self._last_id, cancelled)
            # The reader has ended and would never answer this call.
            if self._is_gone:
                call.frames.put(None)
            else:
                self._calls[call.number] = call
            return call

    def _forget(self, call: _Call) -> None:
        """Close a call, and cancel it in the child when it is not finished."""
        with self._changed:
            is_open = self._calls.pop(call.number, None) is not None
            self._changed.notify_all()
        if is_open and self.is_alive():
            # A child that died meanwhile is reported to the next request.
            with suppress(EngineError):
                self._cancel(call)

    def _cancel(self, call: _Call) -> None:
        self._write(Frame({"id": call.number, "op": "cancel"}), CANCEL_SECONDS)

    def _send(
        self, call: _Call, operation: str, parameters: Mapping[str, Any], timeout: float
    ) -> None:
        self._write(Frame({"id": call.number, "op": operation, "parameters": parameters}), timeout)

    def _next(self, call: _Call, timeout: float) -> Frame:
        """Return the next frame, skipping the one that says that the request has begun."""
        while True:
            # Nobody is before it, so silence means that the child hangs.
            is_alone = len(self._calls) == 1
            frame = self._frame(
                call, timeout if call.begun or is_alone else self._spec.wait_seconds
            )
            if frame is None:
                # Kept for a second read of this call, which would otherwise wait for ever.
                call.frames.put(None)
                raise self._explain_crash(begun=call.begun)
            if not frame.header.get("begun"):
                return frame

    def _frame(self, call: _Call, seconds: float) -> Frame | None:
        deadline = time.monotonic() + seconds
        while True:
            if call.cancelled is not None and call.cancelled.is_set():
                self._cancel(call)
                call.cancelled = None
            left = max(deadline - time.monotonic(), 0.0)
            try:
                return call.frames.get(
                    timeout=left if call.cancelled is None else min(left, CANCEL_POLL_SECONDS)
                )
            except queue.Empty:
                if time.monotonic() >= deadline:
                    raise self._explain_silence(call) from None

    def _explain_silence(self, call: _Call) -> EngineError:
        if call.begun or len(self._calls) == 1:
            return self._kill("did not answer in time and its process was ended")
        return EngineError(
            f"Engine {self._spec.name} has been busy with other requests for "
            f"{self._spec.wait_seconds:.0f} s; try again later."
        )

    def _read(self) -> None:
        """Deliver each frame to its call; runs in a thread as long as the child lives."""
        try:
            while True:
                self._deliver(read_frame(self._read_exactly))
        except EOFError:
            self._explain_crash()
        except (SamError, ValueError, TypeError) as error:
            self._kill(f"sent a message that cannot be read ({error}); its process was ended")
        # Under the lock that ``_open`` takes: a call is either woken here or sees that the child is gone.
        with self._changed:
            self._is_gone = True
            for call in self._calls.values():
                call.frames.put(None)
            self._calls.clear()
            self._changed.notify_all()

    def _deliver(self, frame: Frame) -> None:
        with self._changed:
            call = self._calls.get(frame.header.get("id", -1))
            if call is None:
                # Its reader left; the child had sent this before it saw the cancel.
                return
            call.begun = True
            if frame.header.get("end"):
                del self._calls[call.number]
                self._changed.notify_all()
        call.frames.put(frame)

    def _read_exactly(self, size: int) -> bytes:
        # As much as there is: the pieces of all answers come together, and each read wakes this thread.
        while len(self._unread) < size:
            block = os.read(_fileno(self._process.stdout), READ_BLOCK)
            if not block:
                raise EOFError
            self._unread += block
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data

    def _write(self, frame: Frame, seconds: float) -> None:
        view = memoryview(frame.encode())
        deadline = time.monotonic() + seconds
        with self._writing:
            pipe = _fileno(self._process.stdin)
            poller = select.poll()
            poller.register(pipe, select.POLLOUT)
            while view:
                if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise self._kill("did not answer in time and its process was ended")
                try:
                    view = view[os.write(pipe, view[:PIPE_BLOCK]) :]
                except BrokenPipeError:
                    raise self._explain_crash() from None

    def _explain_crash(self, *, begun: bool = True) -> EngineCrashed:
        """Say why the child is gone; a request that had not begun is not to blame."""
        try:
            # The pipe closes a moment before the process can be waited for.
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._cause is None:
            kind = EngineKilled if -code in FROM_OUTSIDE else EngineCrashed
            words = f"{describe_exit(code)}{self._stderr.last_line()}."
            self._cause = kind(f"The process of engine {self._spec.name} {words}{RESTART_HINT}")
        return (type(self._cause) if begun else EngineKilled)(str(self._cause))


def _require_success(frame: Frame) -> Frame:
    """The answer, or the error it carries as an exception."""
    if "error" in frame.header:
        kind = ERRORS.get(frame.header["error"], EngineError)
        raise kind(str(frame.header["message"]))
    return frame


def _fileno(pipe: IO[bytes] | None) -> int:
    if pipe is None or pipe.closed:
        raise EngineKilled(f"The engine's process was ended.{RESTART_HINT}")
    return pipe.fileno()
