"""Entry point of an engine's child process: limits first, then requests.

The main thread answers. A long request may be begun and then proceeds a step at a time, so that new
requests are taken up between two steps.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Protocol

from engines.exceptions import SamError
from engines.runtimes.child.frames import Frame, read_frame
from engines.runtimes.child.messages import EmittedPiece
from engines.runtimes.child.readable import REPOSITORY, code_of
from engines.runtimes.child.sandbox import Sandbox, Surroundings, enter

logger = logging.getLogger("engine")

GATHER_SECONDS = 0.03
"""Pieces that come faster go out together: each way to the parent wakes it, and whoever reads after it."""


class Cancellation(threading.Event):
    """Set when nobody reads an answer any more; native code sees it without asking Python."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ctypes.create_string_buffer(2)
        """Empty until then, one character long from then on."""

    def set(self) -> None:
        self.text[0] = b"1"
        super().set()


class FrameSink:
    """The way to the parent, for any thread; two frames never mix."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._writing = threading.Lock()
        self._flushed_at = 0.0
        self._is_urgent = False

    def send(self, frame: Frame) -> None:
        """Send a frame, behind those that are held."""
        data = frame.encode()
        with self._writing:
            self._stream.write(data)
            self._flush()

    def hold(self, frame: Frame, *, is_urgent: bool = False) -> None:
        """Have a frame sent with the next one that is sent, or by a flush; an urgent one by any."""
        data = frame.encode()
        with self._writing:
            self._stream.write(data)
            self._is_urgent |= is_urgent

    def flush(self) -> None:
        """Send what is held."""
        with self._writing:
            self._flush()

    def flush_if_due(self) -> None:
        """Send what is held, unless nothing of it is urgent and something was sent a moment ago."""
        if self._is_urgent or time.monotonic() - self._flushed_at >= GATHER_SECONDS:
            self.flush()

    def _flush(self) -> None:
        self._stream.flush()
        self._flushed_at = time.monotonic()
        self._is_urgent = False


@dataclass(eq=False)
class Job:
    """One request being served; any thread may send its answer."""

    request: Frame
    send: Callable[[Frame], None]
    """To the parent, whole."""
    sink: FrameSink
    """What ``send`` writes to."""
    queue: Callable[[Job], None]
    """To the main thread, behind the requests that wait there."""
    next_work: Callable[[], Frame | None] | None = None
    """What the main thread does with it next; None for a new request."""
    cancelled: Cancellation = field(default_factory=Cancellation)
    has_spoken: bool = False
    """Whether a piece of the answer is on its way."""

    @property
    def number(self) -> int:
        number: int = self.request.header["id"]
        return number

    def begin(self) -> None:
        """Tell the parent that this request is being worked on."""
        self.send(Frame({"id": self.number, "begun": True}))

    def emit(self, piece: EmittedPiece) -> None:
        """Send a piece of the answer before its end."""
        self.send(Frame({"id": self.number, "piece": piece}))

    def hold(self, piece: EmittedPiece) -> None:
        """Have a piece of the answer sent with what goes out next, the first one at the next flush."""
        self.sink.hold(Frame({"id": self.number, "piece": piece}), is_urgent=not self.has_spoken)
        self.has_spoken = True

    def finish(self, reply: Frame) -> None:
        """Send the end of the answer."""
        self.send(Frame({**reply.header, "id": self.number, "end": True}, reply.payload))

    def fail(self, error: Exception) -> None:
        """End the answer with an error's sentence."""
        if isinstance(error, SamError):
            self.finish(Frame({"error": error.code, "message": str(error)}))
        else:
            words = f"{type(error).__name__}: {error}"
            self.finish(Frame({"error": "engine_error", "message": words}))

    def continue_with(self, work: Callable[[], Frame | None]) -> None:
        """Have the main thread do ``work``; called by another thread."""
        self.next_work = work
        self.queue(self)

    def answer(self, work: Callable[[], Frame | None]) -> None:
        """Finish with what ``work`` returns or raises; ``None`` is finished by somebody else."""
        try:
            reply = work()
            if reply is not None:
                self.finish(reply)
        except SamError as error:
            self.fail(error)
        except Exception as error:
            logger.exception("the request failed")
            self.fail(error)


class ChildHandler(Protocol):
    """What a runtime's child does; errors it raises go back as sentences."""

    def handle(self, job: Job) -> Frame | None:
        """Answer one request, or begin it and return ``None``; such a job is finished later."""

    def proceed(self) -> bool:
        """Compute a step of what was begun; False when nothing is left."""


class ChildServer:
    """Reads requests in a thread, so that a cancel or the parent's end is seen while computing."""

    def __init__(self, handler: ChildHandler, source: BinaryIO, sink: BinaryIO) -> None:
        self._handler = handler
        self._source = source
        self._sink = FrameSink(sink)
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._open: dict[int, Job] = {}

    def serve(self) -> None:
        """Serve until the pipe ends, which ends the process."""
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        busy = False
        while True:
            for job in self._next_jobs(wait=not busy):
                job.answer(job.next_work or partial(self._handler.handle, job))
            busy = self._handler.proceed()
            if not busy:
                self._sink.flush()

    def _next_jobs(self, *, wait: bool) -> Iterator[Job]:
        """Yield the requests that arrived meanwhile, or wait for the next one."""
        if wait:
            yield self._jobs.get()
        while not self._jobs.empty():
            yield self._jobs.get()

    def _read(self) -> None:
        while True:
            try:
                frame = read_frame(self._read_exactly)
            except EOFError:
                # The parent closed the pipe or died. The main thread may be in native code for minutes,
                # so nothing is waited for.
                os._exit(0)
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        number = frame.header["id"]
        if frame.header["op"] == "cancel":
            # Here and not in the queue: a cancel must not wait behind the request it cancels.
            job = self._open.get(number)
            if job is not None:
                job.cancelled.set()
            return
        job = Job(frame, self._send, self._sink, self._jobs.put)
        self._open[number] = job
        self._jobs.put(job)

    def _send(self, frame: Frame) -> None:
        if frame.header.get("end"):
            self._open.pop(frame.header["id"], None)
        self._sink.send(frame)

    def _read_exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            raise EOFError
        return data


def main(arguments: list[str]) -> None:
    """Run one child: ``arguments`` are the handler's ``module:name`` and options as JSON."""
    target, options = arguments[0], json.loads(arguments[1])
    module, name = target.split(":")
    source, sink = _take_pipes()
    surroundings = _surroundings(module.split(".")[0], options["library_path"])
    # Before anything is imported or opened that a model file could reach.
    protection = enter(Sandbox(**options["sandbox"]), surroundings)
    # Starts a compiler and ldconfig, which the box forbids; who calls it has a name to fall back to.
    ctypes.util.find_library = _find_no_library
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    handler: ChildHandler = getattr(importlib.import_module(module), name)()
    sink.write(Frame({"id": 0, "end": True, "sandbox": protection, "pid": os.getpid()}).encode())
    sink.flush()
    ChildServer(handler, source, sink).serve()


def _surroundings(package: str, library_path: str) -> Surroundings:
    """What is read later; from then on the folder of SAM's packages cannot be listed any more."""
    if (REPOSITORY / package).is_dir():
        importlib.import_module(package)
    return Surroundings(tuple(code_of(package)), library_path)


def _find_no_library(name: str) -> str | None:
    return None


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the pipes to other descriptors: native code prints to 1, which must not reach the protocol."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return source, sink
