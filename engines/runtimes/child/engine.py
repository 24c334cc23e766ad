"""What runtimes with a child process share: its start, its requests, its end."""

from __future__ import annotations

import abc
import logging
import os
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import (
    EngineCrashed,
    EngineKilled,
    EngineNotLoadedError,
    LoadCrashed,
    SamError,
)
from engines.parsing import convert
from engines.runtimes.base import ChatMessage, EmbeddingBatch, Facts, ModelStatus
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.memory import count_resident_bytes
from engines.runtimes.child.messages import EmittedPiece, GenerateParameters, as_piece
from engines.runtimes.child.process import RESTART_HINT, ChildProcess
from engines.runtimes.child.start import ChildSpec
from engines.runtimes.reading import TokenReading
from engines.runtimes.specified import SpecifiedEngine
from engines.runtimes.streaming import require_messages
from engines.runtimes.text.generation import Generation, GenerationOptions, Piece
from engines.runtimes.text.response_format import Json
from engines.runtimes.text.runs import require_countable
from engines.runtimes.vector_rules import split_batches
from engines.specs import RANK_POOLING

logger = logging.getLogger(__name__)

MAX_EMBED_CHARS = 2_000_000
"""A longer text does not fit a frame to the child."""
FIRST_QUESTION = "Hello"


@dataclass(frozen=True, slots=True)
class ChildOptions:
    """How the child is run; none of it changes an answer's meaning. Times in seconds."""

    start_seconds: float = 60.0
    load_seconds: float = 900.0
    request_seconds: float = 900.0
    """Longest wait for a batch of vectors, or for the next piece of an answer."""
    wait_seconds: float = 600.0
    """How long a request may wait behind others before the child begins it."""
    unload_seconds: float = 30.0
    """How long a request in flight may still run when the engine is unloaded."""
    load_cpu_seconds: int = 900
    """CPU time that loading may cost the thread that does it; the child is ended beyond it."""
    memory_bytes: int = 0
    """Memory the child may use besides the weights it maps; 0 means what the runtime counts, or most of
    the machine's where it cannot count."""


ChildOptionsT = TypeVar("ChildOptionsT", bound=ChildOptions)


class ChildEngine(SpecifiedEngine[ChildOptionsT]):
    """A model in its own child process; thread-safe, and the runtime decides how many requests it computes at once.

    If the child dies, the requests in flight raise EngineCrashed and the next one starts and loads a new child.
    A text is a document for ``embed``, ``embed_documents`` and ``embed_many``, a question for ``embed_query``.
    """

    reads_literals = True
    reads_calls = True
    handler: ClassVar[str]
    """``module:callable`` of what the child does."""
    environment: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Variables that the libraries of this runtime need in the child."""

    _child: ChildProcess | None = None
    _wanted = False

    @abc.abstractmethod
    def _check_files(self) -> None:
        """Refuse contradictory settings and malformed files, before the child starts."""

    def _readable(self) -> tuple[str, ...]:
        """Absolute paths of what the child may read."""
        return (str(Path(self.model_path).absolute()),)

    @abc.abstractmethod
    def _load_parameters(self) -> Mapping[str, Any]:
        """Parameters of the child's ``load``."""

    def load_model(self) -> bool:
        """Check the files, start the child and load; True when ready.

        Raises ArtifactMissingError, UnsafeModelFileError, AdapterMismatchError, LoadCrashed (the
        files' fault), EngineCrashed or EngineError with a sentence; the status is then ``error``.
        """
        with self._lifecycle:
            if not self._is_running():
                self._start()
            self._wanted = True
            return True

    def unload_model(self) -> bool:
        """End the child, which frees all its memory; requests in flight have ``unload_seconds`` to finish."""
        with self._lifecycle:
            self._wanted = False
            self._drop_child(self.options.unload_seconds)
            self.status = ModelStatus.UNAVAILABLE
            return True

    def stream_pieces(
        self,
        prompt: str | Sequence[ChatMessage],
        *,
        cancelled: threading.Event | None = None,
        **kwargs: Any,
    ) -> Generator[Piece, None, Generation]:
        """As the contract says; EngineNotLoadedError, EngineCrashed or EngineError may be raised."""
        return self._stream(self._parse_request(prompt, kwargs), cancelled)

    def _parse_request(
        self, prompt: str | Sequence[ChatMessage], given: Mapping[str, Any]
    ) -> GenerateParameters:
        """Parse a request into the parameters of ``generate``; InvalidRequestError."""
        options = GenerationOptions.parse(given)
        text, messages = (
            (prompt, None) if isinstance(prompt, str) else ("", require_messages(prompt))
        )
        return {
            "prompt": text,
            "messages": messages,
            "options": options.as_parameters(),
        }

    def embed(self, text: str) -> list[float]:
        """Vector of ``text`` as a document; TextNotEmbeddableError when it has none."""
        return self.embed_documents([text]).only_vector()

    def embed_query(self, text: str) -> list[float]:
        """Vector of ``text`` as a question; TextNotEmbeddableError when it has none."""
        return self._embed([text], query=True).only_vector()

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Vectors (n, d) float32 and a sentence for each text that has none."""
        return self._embed(texts, query=False)

    def read_documents(self, texts: Sequence[str]) -> list[TokenReading] | None:
        """Return what the tokenizer makes of each text as a document, read in the child."""
        found: list[Json] = []
        for batch in split_batches([text[:MAX_EMBED_CHARS] for text in texts]):
            found += self._request("read", texts=[text for _, text in batch]).header["readings"]
        return convert(found, list[TokenReading])

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` by the model's tokenizer, without those that open and close it."""
        return self.count_tokens_many([text])[0]

    def count_tokens_many(self, texts: Sequence[str]) -> list[int]:
        """Token counts in the order of the texts; InvalidRequestError for one that is too long."""
        for text in texts:
            require_countable(len(text))
        counts: list[int] = []
        for batch in split_batches(texts):
            reply = self._request("count", texts=[text for _, text in batch])
            counts += reply.header["counts"]
        return counts

    def count_prompt_tokens(self, prompt: str | Sequence[ChatMessage]) -> int:
        """Tokens that a request with this prompt computes, those of the template included."""
        text, messages = (
            (prompt, None) if isinstance(prompt, str) else ("", require_messages(prompt))
        )
        require_countable(len(text) + sum(len(each["content"]) for each in messages or ()))
        reply = self._request("count_prompt", prompt=text, messages=messages)
        return int(reply.header["counts"][0])

    def format_prompt(self, messages: Sequence[ChatMessage]) -> str:
        """Messages through the model's own template, rendered in the child."""
        reply = self._request("format", messages=require_messages(messages))
        return str(reply.header["prompt"])

    def find_losses(self) -> list[str]:
        """Render conversations of all kinds in the child, and look what the model's template left out."""
        return self._request("losses").header["losses"]

    def get_status(self) -> ModelStatus:
        """Return the status now: a child that died while idle is an error until the next request."""
        if self.status is ModelStatus.READY and not self._is_running():
            return ModelStatus.ERROR
        return self.status

    def is_available(self) -> bool:
        """Whether a request now would be answered without loading first."""
        return self._is_running() and self.status is ModelStatus.READY

    def get_engine_info(self) -> Facts:
        """Return what the child reported when it loaded, and its memory now."""
        info = {**super().get_engine_info(), "family": self.spec.family, **self._info}
        child = self._child
        if child is not None and child.is_alive():
            info |= {"sandbox": child.sandbox, "resident_bytes": count_resident_bytes(child.pid)}
        return info

    def close(self) -> None:
        self.unload_model()

    def _is_running(self) -> bool:
        child = self._child
        return self.is_loaded and child is not None and child.is_alive()

    def _start(self) -> None:
        self._drop_child(0)
        self.status = ModelStatus.LOADING
        try:
            self._check_files()
            self._child = ChildProcess(self._child_spec())
            self._child.wait_ready()
            reply = self._load(self._child)
        except SamError:
            # Without a loaded model the child is of no use, and it may hold gigabytes.
            self._drop_child(0)
            self.status = ModelStatus.ERROR
            raise
        self._info = reply.header["info"]
        self.status = ModelStatus.READY
        self.is_loaded = True

    def _load(self, child: ChildProcess) -> Frame:
        name = Path(self.model_path).name
        with blame_on_load(LoadCrashed, name, "verify the file or choose another model"):
            reply = child.request("load", self.options.load_seconds, **self._load_parameters())
            self._ask_first_question(child)
        return reply

    def _ask_first_question(self, child: ChildProcess) -> None:
        """Have the model answer once: one that crashes at any question does so now, with nobody waiting.

        That it refuses is no reason not to use it; whoever asks for the same will hear why.
        """
        if self.spec.embedding:
            ranks = self.spec.embedding.pooling == RANK_POOLING
            asked: Facts = {"question": FIRST_QUESTION} if ranks else {"query": False}
            with _log_refusals():
                operation = "rank" if ranks else "embed"
                seconds = self.options.load_seconds
                child.request(operation, seconds, texts=[FIRST_QUESTION], **asked)
            return
        message = ChatMessage(role="user", content=FIRST_QUESTION)
        # Through the template, and without it.
        for prompt in ([message], FIRST_QUESTION):
            parameters = self._parse_request(prompt, {"max_tokens": 1, "temperature": 0})
            with _log_refusals():
                child.request(
                    "generate", self.options.load_seconds, **self._generate_parameters(parameters)
                )

    def _generate_parameters(self, parameters: GenerateParameters) -> GenerateParameters:
        """The same with what the runtime adds to each request."""
        return parameters

    def _child_spec(self) -> ChildSpec:
        return ChildSpec(
            name=self.engine_id,
            handler=self.handler,
            threads=self._threads(),
            memory_bytes=self._memory_bytes(),
            readable=self._readable(),
            start_seconds=self.options.start_seconds,
            wait_seconds=self.options.wait_seconds,
            environment=self.environment,
        )

    def _memory_bytes(self) -> int:
        return self.options.memory_bytes

    def _threads(self) -> int:
        return self.spec.threads or len(os.sched_getaffinity(0))

    def _drop_child(self, patience: float) -> None:
        child, self._child = self._child, None
        self._info = {}
        self.is_loaded = False
        if child is not None:
            child.stop(patience)

    def _require_child(self) -> ChildProcess:
        """Return the loaded child; one that died is started again."""
        with self._lifecycle:
            # Not ``is_loaded``: a crash clears that, but only unloading ends the wish for the engine.
            if not self._wanted:
                raise EngineNotLoadedError(
                    f"Engine {self.engine_id} is not loaded; load it before using it."
                )
            if not self._is_running():
                self._start()
            if self._child is None:
                raise EngineNotLoadedError(f"Engine {self.engine_id} was unloaded meanwhile.")
            return self._child

    @contextmanager
    def _watch_child(self) -> Iterator[ChildProcess]:
        child = self._require_child()
        try:
            yield child
        except EngineCrashed:
            # Another request may have started a new child meanwhile; this crash is not that one's.
            if self._child is child:
                self.status = ModelStatus.ERROR
                self.is_loaded = False
            raise

    def _request(self, operation: str, **parameters: Any) -> Frame:
        with self._watch_child() as child:
            return child.request(operation, self.options.request_seconds, **parameters)

    def _stream(
        self, parameters: GenerateParameters, cancelled: threading.Event | None = None
    ) -> Generator[Piece, None, Generation]:
        with self._watch_child() as child:
            seconds = self.options.request_seconds
            sent = child.stream("generate", seconds, cancelled=cancelled, **parameters)
            frame = yield from _read_pieces(sent)
        facts = frame.header["generation"]
        return Generation(**{**facts, "tokens": tuple(facts["tokens"])})

    def _embed(self, texts: Sequence[str], *, query: bool) -> EmbeddingBatch:
        parts: list[NDArray[np.float32]] = []
        errors: dict[int, str] = {}
        cut: set[int] = set()
        for batch in split_batches(
            [text if len(text) <= MAX_EMBED_CHARS else "" for text in texts]
        ):
            reply = self._request("embed", texts=[text for _, text in batch], query=query)
            rows = np.frombuffer(reply.payload, np.float32)
            parts.append(rows.reshape(len(batch), reply.header["dimension"]))
            for position, sentence in reply.header["errors"].items():
                errors[batch[int(position)][0]] = sentence
            cut.update(batch[position][0] for position in reply.header["cut"])
        errors |= {
            number: f"The text has {len(text)} characters and the limit is {MAX_EMBED_CHARS}; split it."
            for number, text in enumerate(texts)
            if len(text) > MAX_EMBED_CHARS
        }
        empty = np.empty((0, self._info.get("embedding_length", 0)), np.float32)
        return EmbeddingBatch(np.concatenate([empty, *parts]), errors, frozenset(cut))


@contextmanager
def _log_refusals() -> Iterator[None]:
    """Go on after an error that the child itself reports."""
    try:
        yield
    except EngineCrashed:
        raise
    except SamError as error:
        logger.info("the first question was refused: %s", error)


@contextmanager
def blame_on_load(kind: type[LoadCrashed], what: str, advice: str) -> Iterator[None]:
    """Turn a crash while loading into ``kind``, unless the child was ended from outside."""
    try:
        yield
    except EngineKilled:
        # An operator, or the kernel when memory ran out: the file is not to blame.
        raise
    except EngineCrashed as error:
        raise kind(
            f"{what} could not be loaded: {str(error).removesuffix(RESTART_HINT)} "
            f"It is not retried automatically; {advice}."
        ) from error


def _read_pieces(
    sent: Generator[EmittedPiece, None, Frame],
) -> Generator[Piece, None, Frame]:
    try:
        while True:
            yield as_piece(next(sent))
    except StopIteration as end:
        frame: Frame = end.value
        return frame
    finally:
        sent.close()
