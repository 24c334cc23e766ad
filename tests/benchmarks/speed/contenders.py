"""Who answers in the benchmark ``engine_speed``: each streams the same questions with the same model file."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from llama_cpp import Llama
from msgspec import json

from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.specs import ANSWERS_AT_ONCE, EngineSpec
from tests.benchmarks.line_process import REPOSITORY

CONTEXT = 8192
"""Tokens, for all answers of a contender together."""
MOST_STREAMS = 64
START_SECONDS = 120.0
LLAMA_SERVER = "SAM_LLAMA_SERVER"
"""Names a ``llama-server`` of one's own; without it that contender is left out."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; ``asker`` is the number of the stream, and of its person."""

    messages: list[dict[str, str]]
    max_tokens: int
    asker: int = 0

    def body(self) -> dict[str, Any]:
        """Return what all contenders are given."""
        return {"messages": self.messages, "max_tokens": self.max_tokens, "temperature": 0}


@dataclass(slots=True)
class Streamed:
    """One answer as its reader saw it."""

    begun: float
    text: str = ""
    moments: tuple[float, ...] = ()
    """When each piece came."""
    reason: str = ""
    tokens: int = 0

    @property
    def first(self) -> float:
        """Seconds to the first piece."""
        return self.moments[0] - self.begun


class Contender(ABC):
    """One way to an answer, alive inside the ``with``."""

    name: str
    at_once: bool
    """Whether it computes several answers together; the others' wait in line."""
    fields: Mapping[str, object] = {}
    """What it must be told to answer as the others do."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @abstractmethod
    async def answer(self, question: Question) -> Streamed:
        """Ask and read to the end."""


class _Threaded(Contender):
    """A library of this process: each answer is read by a thread."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MOST_STREAMS)

    async def answer(self, question: Question) -> Streamed:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, question)

    def _read(self, question: Question) -> Streamed:
        streamed = Streamed(time.perf_counter())
        said, seen = [], []
        for piece in self._pieces(question, streamed):
            said.append(piece)
            seen.append(time.perf_counter())
        streamed.text, streamed.moments = "".join(said), tuple(seen)
        streamed.tokens = _count(streamed, question)
        return streamed

    @abstractmethod
    def _pieces(self, question: Question, streamed: Streamed) -> Iterator[str]:
        """Yield the texts of an answer, and note its reason."""


class SamEngine(_Threaded):
    """SAM's runtime and its child process, without web and worker."""

    name = "SAM's engine"
    at_once = True

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__()
        spec = EngineSpec("bench", "Bench", str(path), context_length=CONTEXT, threads=threads)
        self._engine = LlamaCppEngine.from_spec(spec)
        self._engine.load_model()

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def _pieces(self, question: Question, streamed: Streamed) -> Iterator[str]:
        body = question.body()
        pieces = self._engine.stream_pieces(body.pop("messages"), owner=str(question.asker), **body)
        while True:
            try:
                yield next(pieces).text
            except StopIteration as end:
                streamed.reason = end.value.finish_reason
                return


class Library(_Threaded):
    """llama-cpp-python called directly; one answer at a time."""

    name = "llama-cpp-python"
    at_once = False

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__()
        same: dict[str, Any] = {"n_threads": threads, "n_threads_batch": threads}
        self._model = Llama(str(path), n_ctx=CONTEXT, flash_attn=True, verbose=False, **same)
        self._in_use = threading.Lock()

    def __exit__(self, *_: object) -> None:
        self._model.close()

    def _pieces(self, question: Question, streamed: Streamed) -> Iterator[str]:
        with self._in_use:
            # It would go on from the last prompt's beginning, whoever asked that; SAM does so for its owner only.
            self._model.reset()  # type: ignore[no-untyped-call]
            chunks: Any = self._model.create_chat_completion(**question.body(), stream=True)
            for chunk in chunks:
                choice = chunk["choices"][0]
                streamed.reason = choice["finish_reason"] or streamed.reason
                if piece := choice["delta"].get("content"):
                    yield piece


class Server(Contender):
    """A server that speaks OpenAI's protocol, read by as little code as possible."""

    def __init__(self, name: str, address: str, keys: Sequence[str], *, at_once: bool) -> None:
        self.name = name
        self.at_once = at_once
        self._address = urlsplit(address)
        self._keys = keys

    def __exit__(self, *_: object) -> None: ...

    async def answer(self, question: Question) -> Streamed:
        host, port = self._address.hostname, self._address.port
        # As of a client that keeps its connections: opening one is not what is measured.
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(self._request(question))
        streamed = Streamed(time.perf_counter())
        said, seen = [], []
        try:
            async for piece in _pieces_of(reader, streamed):
                said.append(piece)
                seen.append(time.perf_counter())
        finally:
            writer.close()
        if not seen:
            raise RuntimeError(f"{self.name} did not answer.")
        streamed.text, streamed.moments = "".join(said), tuple(seen)
        streamed.tokens = _count(streamed, question)
        return streamed

    def _request(self, question: Question) -> bytes:
        asked = {**question.body(), **self.fields, "model": "sam", "stream": True}
        body = json.encode(asked)
        key = self._keys[question.asker % len(self._keys)]
        lines = (
            f"POST {self._address.path}/chat/completions HTTP/1.1",
            f"Host: {self._address.netloc}",
            f"Authorization: Bearer {key}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        return "\r\n".join((*lines, "", "")).encode() + body


async def _pieces_of(reader: asyncio.StreamReader, streamed: Streamed) -> AsyncIterator[str]:
    """Yield the texts of server-sent events; the sizes of HTTP's chunks stand on other lines."""
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"{status!r}: {(await reader.read()).decode()}")
    while line := await reader.readline():
        if not line.startswith(b"data: {"):
            continue
        event = json.decode(line[6:])
        if "error" in event:
            raise RuntimeError(str(event["error"]))
        for choice in event["choices"]:
            streamed.reason = choice["finish_reason"] or streamed.reason
            if piece := choice["delta"].get("content"):
                yield piece


class ServerProcess(Server):
    """Such a server as a process of this benchmark's own."""

    def __init__(self, name: str, command: Sequence[str], port: int, *, at_once: bool) -> None:
        super().__init__(name, f"http://127.0.0.1:{port}/v1", ["none"], at_once=at_once)
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait(port)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(START_SECONDS)

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start.")
            time.sleep(0.1)


def library_server(path: Path, threads: int) -> ServerProcess:
    """Start ``python -m llama_cpp.server``."""
    port = _free_port()
    command = [
        *(sys.executable, "-m", "llama_cpp.server", "--model", str(path)),
        *("--n_ctx", str(CONTEXT), "--n_threads", str(threads), "--n_threads_batch", str(threads)),
        *("--flash_attn", "true", "--interrupt_requests", "false", "--verbose", "false"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    server = ServerProcess("llama_cpp.server", command, port, at_once=False)
    server.fields = {"repeat_penalty": 1.0}
    return server


def llama_server(path: Path, threads: int) -> ServerProcess | None:
    """Start the ``llama-server`` that the environment names; None when it names none."""
    program = os.environ.get(LLAMA_SERVER)
    if not program:
        return None
    port = _free_port()
    command = [
        *(program, "--model", str(path), "--ctx-size", str(CONTEXT), "--kv-unified"),
        *("--parallel", str(ANSWERS_AT_ONCE), "--flash-attn", "on", "--jinja"),
        *("--threads", str(threads), "--threads-batch", str(threads)),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    server = ServerProcess("llama-server", command, port, at_once=True)
    server.fields = {"cache_prompt": False}
    return server


def _count(streamed: Streamed, question: Question) -> int:
    """Return the tokens of an answer; one that ended by itself has about as many as pieces."""
    return question.max_tokens if streamed.reason == "length" else len(streamed.moments)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
