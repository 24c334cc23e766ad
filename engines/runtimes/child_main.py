"""Entry point of an engine's child process: limits first, then one request at a time."""

from __future__ import annotations

import importlib
import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from engines.exceptions import SamError
from engines.runtimes.frames import Frame, read_frame
from engines.runtimes.sandbox import Sandbox, enter

logger = logging.getLogger("engine")


@dataclass
class Job:
    """One request being served."""

    request: Frame
    emit: Callable[[object], None]
    """Send a piece of the answer before its end."""
    cancelled: threading.Event = field(default_factory=threading.Event)


class Handler(Protocol):
    """What a child does; errors it raises go back as sentences."""

    def handle(self, job: Job) -> Frame:
        """Answer one request."""


class ChildServer:
    """Reads requests in a thread, so that a cancel or the parent's end is seen while computing."""

    def __init__(self, handler: Handler, source: BinaryIO, sink: BinaryIO) -> None:
        self._handler = handler
        self._source = source
        self._sink = sink
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._open: dict[int, Job] = {}

    def serve(self) -> None:
        """Serve until the pipe ends; that ends the process."""
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        while True:
            self._answer(self._jobs.get())

    def _read(self) -> None:
        while True:
            try:
                frame = read_frame(self._read_exactly)
            except EOFError:
                os._exit(0)
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        number = frame.header["id"]
        if frame.header["op"] == "cancel":
            job = self._open.get(number)
            if job is not None:
                job.cancelled.set()
            return
        job = Job(frame, lambda piece: self._send(Frame({"id": number, "piece": piece})))
        self._open[number] = job
        self._jobs.put(job)

    def _answer(self, job: Job) -> None:
        number = job.request.header["id"]
        reply = self._try(job)
        self._open.pop(number, None)
        self._send(Frame({**reply.header, "id": number, "end": True}, reply.payload))

    def _try(self, job: Job) -> Frame:
        try:
            return self._handler.handle(job)
        except SamError as error:
            return Frame({"error": error.code, "message": str(error)})
        except Exception as error:
            logger.exception("the request failed")
            return Frame({"error": "engine_error", "message": f"{type(error).__name__}: {error}"})

    def _send(self, frame: Frame) -> None:
        self._sink.write(frame.encode())
        self._sink.flush()

    def _read_exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            raise EOFError
        return data


def main(arguments: list[str]) -> None:
    """Run one child: ``arguments`` are the handler's ``module:name`` and options as JSON."""
    target, options = arguments[0], json.loads(arguments[1])
    source, sink = _take_pipes()
    protection = enter(Sandbox(**options["sandbox"]))
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    module, name = target.split(":")
    handler: Handler = getattr(importlib.import_module(module), name)()
    sink.write(Frame({"id": 0, "end": True, "sandbox": protection, "pid": os.getpid()}).encode())
    sink.flush()
    ChildServer(handler, source, sink).serve()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes under other numbers: native code prints to 1, which must not reach the protocol."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return source, sink
