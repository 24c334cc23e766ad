"""One llama-server and the answers that it computes."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from engines.exceptions import HostUnavailableError
from engines.runtimes.child.start import ProgramSpec
from engines.runtimes.notation.reader import AnswerReader
from engines.runtimes.programs.completion import Chunk, CompletionClient, ContextFullError
from engines.runtimes.programs.process import ServedProgram
from engines.runtimes.programs.slots import Place, Slots
from engines.runtimes.servers.base import AnswerCollector, ServerEnding
from engines.runtimes.text.generation import Generation, GenerationOptions, Piece
from engines.runtimes.text.response_format import Json

SOCKET = "llama.sock"
REASONS = {"limit": "length"}
"""SAM's name for why an answer ended; else ``stop``."""
PENALTY_WINDOW = 64
"""Tokens that penalties look back on, as in the runtime llama_cpp."""
SAMPLERS = ("penalties", "top_k", "top_p", "min_p", "temperature")
"""In the order of the runtime llama_cpp."""
NUMBERS = (
    *("temperature", "top_k", "top_p", "min_p", "seed"),
    *("repeat_penalty", "frequency_penalty", "presence_penalty"),
)
"""Options that the server knows by the same names."""
FIRST_SHARE, LEAST_ROOM = 8, 256


@dataclass(frozen=True, slots=True)
class ServerLayout:
    """How much a server is given to do. Times in seconds."""

    parallel: int
    context: int
    """Tokens that all its answers share."""
    read_seconds: float
    wait_seconds: float
    """How long an answer may wait for its place."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer to be computed."""

    tokens: Sequence[int]
    room: int
    """Tokens that the answer may have."""
    options: GenerationOptions
    marks: Sequence[str]
    """Control tokens to be shown."""
    lora: Sequence[Json]
    """The number and the scale of each adapter."""


class LlamaServer:
    """Thread-safe."""

    def __init__(self, spec: ProgramSpec, layout: ServerLayout) -> None:
        """Start it; EngineError."""
        self._layout = layout
        self._slots = Slots(layout.parallel, layout.context)
        # By a descriptor of the folder: the path of a socket has 107 bytes at most.
        self._folder = os.open(spec.folder, os.O_PATH | os.O_DIRECTORY)
        socket = f"/proc/self/fd/{self._folder}/{SOCKET}"
        self._client = CompletionClient(socket, layout.read_seconds, layout.parallel)
        try:
            self.program = ServedProgram(spec)
        except BaseException:
            self._release()
            raise

    def wait_ready(self, seconds: float) -> None:
        """As ServedProgram's."""
        self.program.wait_ready(self._client.is_ready, seconds)

    def stop(self, patience: float = 0.0) -> None:
        """End it when its answers are done, or after ``patience`` seconds."""
        if self.program.is_alive():
            self._slots.wait_idle(patience)
        self.program.stop()
        self._release()

    def answer(
        self, asked: Asked, reader: AnswerReader, cancelled: threading.Event | None
    ) -> Generator[Piece, None, Generation]:
        """Yield an answer's pieces as ``reader`` sorts them; what ``CompletionClient.complete`` raises.

        A broken connection becomes what ended the program.
        """
        collector = AnswerCollector()
        sent = self._chunks(asked, cancelled)
        made: list[int] = []
        last, reason = Chunk("", (), 0), "stop"
        with closing(sent), self.explained():
            for chunk in sent:
                last = chunk
                made += chunk.tokens
                yield from collector.take(reader.add(chunk.text))
                reason = REASONS.get(chunk.reason, "stop")
                if reader.stopped:
                    break
        if cancelled is not None and cancelled.is_set() and not last.reason:
            reason = "cancelled"
        yield from collector.take(reader.finish(is_cut=reason != "stop"))
        ending = ServerEnding("stop" if reader.stopped else reason, len(asked.tokens), last.made)
        # A character of several tokens comes with the last of them only.
        tokens = tuple(made) if len(made) == last.made else ()
        return replace(collector.generation(ending), tokens=tokens, reused_tokens=last.reused)

    def embed(self, windows: Sequence[Sequence[int]]) -> list[Any]:
        """Return a vector for each list of tokens, unchecked; as ``answer`` raises."""
        # They go to whichever slot is free.
        self._slots.forget_owners()
        with self.explained():
            return self._client.embed(windows)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn a broken connection into what ended the program."""
        try:
            yield
        except HostUnavailableError as error:
            why = self.program.explain_break()
            if why is None:
                raise
            raise why from error

    def _chunks(
        self, asked: Asked, cancelled: threading.Event | None
    ) -> Generator[Chunk, None, None]:
        """Yield the chunks of an answer; one that was broken off for want of room is gone on with."""
        made: list[int] = []
        reserved = min(asked.room, max(self._layout.context // FIRST_SHARE, LEAST_ROOM))
        while True:
            last, before = Chunk("", (), 0), len(made)
            take = self._slots.take(
                asked.options.owner,
                len(asked.tokens) + reserved,
                self._layout.wait_seconds,
                cancelled,
            )
            try:
                with take as place:
                    if place is None:
                        return
                    for chunk in self._client.complete(self._fields(asked, made, place)):
                        last = replace(chunk, made=before + chunk.made)
                        yield last
                        if last.reason or (cancelled is not None and cancelled.is_set()):
                            return
                        made += chunk.tokens
            except ContextFullError:
                # Once more, with as much as it can need at most. Where tokens are missing it cannot be gone on with.
                if reserved == asked.room or len(made) != max(last.made, before):
                    raise
                reserved = asked.room
                continue
            raise HostUnavailableError("llama-server broke the answer off; ask again.")

    def _fields(self, asked: Asked, made: Sequence[int], place: Place) -> Json:
        values = asked.options.as_parameters()
        return {
            "prompt": [*asked.tokens, *made],
            "n_predict": asked.room - len(made),
            "id_slot": place.number,
            "cache_prompt": place.may_reuse,
            "repeat_last_n": PENALTY_WINDOW,
            "samplers": SAMPLERS,
            "preserved_tokens": list(asked.marks),
            "lora": list(asked.lora),
            **{name: values[name] for name in NUMBERS},
        }

    def _release(self) -> None:
        self._client.close()
        folder, self._folder = self._folder, -1
        if folder >= 0:
            os.close(folder)
