"""What runtimes behind a server share: its address, checked vectors, errors as sentences."""

from __future__ import annotations

import abc
import threading
from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.addresses import parse_endpoint
from engines.exceptions import (
    EngineError,
    EngineNotLoadedError,
    InvalidRequestError,
    SamError,
    TextNotEmbeddableError,
)
from engines.runtimes.base import ChatMessage, EmbeddingBatch, Facts, ModelStatus
from engines.runtimes.notation.families import family_of
from engines.runtimes.notation.reasoning import ReasoningSplitter
from engines.runtimes.specified import SpecifiedEngine
from engines.runtimes.streaming import require_messages
from engines.runtimes.templates.thoughts import ask_in_words
from engines.runtimes.text.generation import Generation, GenerationOptions, Piece
from engines.runtimes.text.printable import make_printable
from engines.runtimes.text.stop_words import StopWords
from engines.runtimes.vector_rules import EMPTY, NO_NUMBERS, split_batches, to_usable_vector
from engines.specs import EmbeddingSpec

MAX_ANSWER_CHARS = 8_000_000
"""A server that sends more is no longer answering a question."""
MAX_QUOTE_CHARS = 300
MAX_MODELS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """How a server is used. Times in seconds."""

    api_key: str = field(default="", repr=False)
    connect_seconds: float = 10.0
    read_seconds: float = 600.0
    """Longest wait for vectors, or for the next piece of an answer."""
    ping_seconds: float = 2.0
    """How long a server may take to answer a ping."""
    check_seconds: float = 30.0
    """How long a server may take to list its models."""


RemoteOptionsT = TypeVar("RemoteOptionsT", bound=RemoteOptions)


class RemoteEngine(SpecifiedEngine[RemoteOptionsT]):
    """A model that a server runs; thread-safe, as parallel as the server is.

    Nothing the server sends is trusted: sizes are limited, vectors checked, its messages quoted
    in printable characters only. HostUnavailableError (transient) says that it cannot be reached
    or is busy, EngineError that it cannot do this.
    """

    default_endpoint: ClassVar[str]
    is_ours: ClassVar[bool] = False
    """Whether SAM runs the server itself, for this engine alone."""

    endpoint: str
    """Address of the server, checked."""

    def _prepare(self) -> None:
        self.endpoint = parse_endpoint(self.spec.endpoint or self.default_endpoint)
        self._notation = family_of(self.spec.family).notation

    @classmethod
    @abc.abstractmethod
    def list_models(cls, place: str, options: RemoteOptionsT | None = None) -> list[str]:
        """Names of the models the server at ``place`` has; HostUnavailableError, EngineError."""

    @abc.abstractmethod
    def _connect(self) -> Facts:
        """Make sure that the server has the model; return facts about it for JSON."""

    @abc.abstractmethod
    def _disconnect(self) -> None:
        """Close the connection; safe to call twice."""

    @abc.abstractmethod
    def _ping(self) -> None:
        """Return when the server answers; SamError when it does not."""

    @abc.abstractmethod
    def _answer(
        self, prompt: str | list[ChatMessage], options: GenerationOptions, given: frozenset[str]
    ) -> Generator[Piece, None, ServerEnding]:
        """Stream the server's answer; ``given`` names the options that the caller set."""

    @abc.abstractmethod
    def _vectors(self, texts: list[str]) -> list[Any]:
        """Return the server's vectors of one batch, unchecked."""

    def check(self) -> None:
        """Return when the server lists the model; HostUnavailableError, EngineError."""
        options = replace(self.options, read_seconds=self.options.check_seconds)
        self._require_listed(self.list_models(self.endpoint, options))

    @classmethod
    def served_name(cls, name: str) -> str:
        """Return the name by which the server lists a model."""
        return name

    def _require_listed(self, names: Collection[str]) -> None:
        for name in filter(None, (self.model_path, self.spec.embedding_model)):
            if self.served_name(name) not in names:
                raise EngineError(
                    f"The server at {self.endpoint} has no model {quote_text(name)!r}; it has "
                    f"{quote_text(', '.join(sorted(names)[:MAX_MODELS_SHOWN])) or 'none'}."
                )

    def load_model(self) -> bool:
        """Connect; True when the server has the model ready.

        Raises HostUnavailableError or EngineError; the engine's status is then ``error``.
        """
        with self._lifecycle:
            self.status = ModelStatus.LOADING
            try:
                self._info = self._connect()
            except SamError:
                self._disconnect()
                self.is_loaded = False
                self.status = ModelStatus.ERROR
                raise
            self.is_loaded = True
            self.status = ModelStatus.READY
            return True

    def unload_model(self) -> bool:
        """Close the connection; the server decides when it frees its memory."""
        with self._lifecycle:
            self.is_loaded = False
            self.status = ModelStatus.UNAVAILABLE
            self._disconnect()
            self._info = {}
            return True

    def stream_pieces(
        self,
        prompt: str | Sequence[ChatMessage],
        *,
        cancelled: threading.Event | None = None,
        **kwargs: Any,
    ) -> Generator[Piece, None, Generation]:
        """As the contract says; a cancelled server stops when it sends its next piece."""
        options = GenerationOptions.parse(kwargs)
        given = frozenset(name for name, value in kwargs.items() if value is not None)
        checked = prompt if isinstance(prompt, str) else require_messages(prompt)
        if not isinstance(checked, str):
            word = self._notation.switch_words(thinking=options.thinking)
            checked = list(ask_in_words(checked, word))
        answer = self._answer(checked, options, given)
        return self._collect(_stop_when(cancelled, answer), checked, StopWords(options.stop))

    def _collect(
        self,
        answer: Generator[Piece, None, ServerEnding],
        prompt: str | list[ChatMessage],
        stop: StopWords,
    ) -> Generator[Piece, None, Generation]:
        self._need_loaded()
        splitter = ReasoningSplitter(self._notation.reasoning)
        collector = AnswerCollector()
        ending = None
        try:
            while not stop.stopped:
                piece = next(answer)
                # Servers that split off the reasoning send it marked; from others it comes in the text.
                is_sorted = piece.is_reasoning or piece.tool_call is not None
                parts = [piece] if is_sorted else splitter.add(piece.text)
                yield from collector.take(_until_stop(stop, parts))
        except StopIteration as end:
            ending = end.value
        finally:
            # Also when nobody reads on: an open connection keeps the server computing.
            answer.close()
        yield from collector.take(_until_stop(stop, splitter.finish()))
        yield from collector.take([Piece(held)] if (held := stop.finish()) else [])
        return collector.generation(ending or self._stopped_ending(prompt, collector))

    def _stopped_ending(
        self, prompt: str | list[ChatMessage], collector: AnswerCollector
    ) -> ServerEnding:
        """How an answer ended at a stop word that the server does not know; it was not asked to the end."""
        read = prompt if isinstance(prompt, str) else "\n".join(one["content"] for one in prompt)
        estimate = super().count_tokens
        return ServerEnding("stop", estimate(read), estimate(collector.text))

    def embed(self, text: str) -> list[float]:
        """Vector of ``text`` as a document; TextNotEmbeddableError when it has none."""
        return _only_vector(self.embed_documents([text]))

    def embed_query(self, text: str) -> list[float]:
        """Vector of ``text`` as a question; TextNotEmbeddableError when it has none."""
        return _only_vector(self._embed([text], self._embedding().query_prefix))

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Vectors (n, d) float32 and a sentence for each text that has none."""
        return self._embed(texts, self._embedding().document_prefix)

    def is_available(self) -> bool:
        """Whether the server is there now; asks it."""
        if not self.is_loaded:
            return False
        try:
            self._ping()
        except SamError:
            return False
        return True

    def get_engine_info(self) -> Facts:
        """Return the facts that the server gave when it was connected."""
        base = super().get_engine_info()
        return {**base, "family": self.spec.family, "endpoint": self.endpoint, **self._info}

    def close(self) -> None:
        self.unload_model()

    def _embedding(self) -> EmbeddingSpec:
        return self.spec.embedding or EmbeddingSpec(dimension=0, max_tokens=0)

    def _embed(self, texts: Sequence[str], prefix: str) -> EmbeddingBatch:
        self._need_loaded()
        rows: dict[int, NDArray[np.float32]] = {}
        errors = {number: EMPTY for number, text in enumerate(texts) if not text.strip()}
        for batch in split_batches([prefix + text for text in texts]):
            wanted = [item for item in batch if item[0] not in errors]
            if wanted:
                self._embed_batch(wanted, rows, errors)
        return self._as_batch(len(texts), rows, errors)

    def _embed_batch(
        self,
        batch: list[tuple[int, str]],
        rows: dict[int, NDArray[np.float32]],
        errors: dict[int, str],
    ) -> None:
        """Embed one batch; a batch the server refuses is retried text by text: one may be to blame."""
        try:
            vectors = self._request_vectors([text for _, text in batch])
        except InvalidRequestError as error:
            if len(batch) == 1:
                errors[batch[0][0]] = str(error)
                return
            for item in batch:
                self._embed_batch([item], rows, errors)
            return
        for (number, _text), row in zip(batch, vectors, strict=True):
            usable = to_usable_vector(row, normalise=self._embedding().normalise)
            if usable is None:
                errors[number] = NO_NUMBERS
            else:
                rows[number] = usable

    def _request_vectors(self, texts: list[str]) -> NDArray[np.float32]:
        given = self._vectors(texts)
        # Rows of different lengths, texts, nothing: NumPy says no, and the shape check below says why.
        try:
            vectors = np.asarray(given, dtype=np.float32)
        except (TypeError, ValueError):
            vectors = np.empty((0, 0), np.float32)
        wanted = self._embedding().dimension
        if (
            vectors.ndim != 2  # noqa: PLR2004 - a row of numbers per text
            or len(vectors) != len(texts)
            or (wanted and vectors.shape[1] != wanted)
        ):
            expected = f"{len(texts)} vectors" + (f" of {wanted} numbers" if wanted else "")
            raise EngineError(
                f"The server at {self.endpoint} was asked for {expected} and sent something else; "
                "choose a model that embeds, or correct the entry."
            )
        return vectors

    def _as_batch(
        self, count: int, rows: dict[int, NDArray[np.float32]], errors: dict[int, str]
    ) -> EmbeddingBatch:
        widths = {len(row) for row in rows.values()}
        if len(widths) > 1:
            raise EngineError(
                f"The server at {self.endpoint} sent vectors of different lengths; do not let it "
                "change its model while texts are embedded."
            )
        width = widths.pop() if widths else self._embedding().dimension
        vectors = np.full((count, width), np.nan, np.float32)
        for number, row in rows.items():
            vectors[number] = row
        return EmbeddingBatch(vectors, errors)

    def _need_loaded(self) -> None:
        if not self.is_loaded:
            raise EngineNotLoadedError(
                f"Engine {self.engine_id} is not loaded; load it before using it."
            )


@dataclass(frozen=True, slots=True)
class ServerEnding:
    """What a server reports when an answer is complete."""

    reason: str
    prompt_tokens: int
    answer_tokens: int


class AnswerCollector:
    """Collects an answer's pieces."""

    def __init__(self) -> None:
        self._texts: dict[bool, list[str]] = {False: [], True: []}
        self._size = 0

    def take(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """Keep the pieces and pass them on; EngineError when the answer is over the limit."""
        for piece in pieces:
            self._size += len(piece.text)
            self._texts[piece.is_reasoning].append(piece.text)
        if self._size > MAX_ANSWER_CHARS:
            raise EngineError(
                f"The server sent more than {MAX_ANSWER_CHARS} characters; set max_tokens."
            )
        return pieces

    @property
    def text(self) -> str:
        """All that was answered, reasoning included."""
        return "".join([*self._texts[True], *self._texts[False]])

    def generation(self, ending: ServerEnding) -> Generation:
        return Generation(
            text="".join(self._texts[False]),
            tokens=(),
            prompt_tokens=ending.prompt_tokens,
            finish_reason=ending.reason,
            reasoning="".join(self._texts[True]),
            counted_tokens=ending.answer_tokens,
        )


def _stop_when(
    cancelled: threading.Event | None, answer: Generator[Piece, None, ServerEnding]
) -> Generator[Piece, None, ServerEnding]:
    # Asked between two pieces: a client call that waits for the server cannot be interrupted.
    with closing(answer):
        while cancelled is None or not cancelled.is_set():
            try:
                yield next(answer)
            except StopIteration as end:
                ending: ServerEnding = end.value
                return ending
    return ServerEnding("cancelled", prompt_tokens=0, answer_tokens=0)


def _until_stop(stop: StopWords, pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces up to a stop word of the answer; reasoning has none."""
    shown: list[Piece] = []
    for piece in pieces:
        if piece.is_reasoning or piece.tool_call is not None:
            shown.append(piece)
        elif text := stop.add(piece.text):
            shown.append(Piece(text))
    return shown


def quote_text(text: object) -> str:
    """Quote a server: printable characters only, cut to a sentence's length."""
    return make_printable(text, MAX_QUOTE_CHARS)


def _only_vector(batch: EmbeddingBatch) -> list[float]:
    if batch.errors:
        raise TextNotEmbeddableError(batch.errors[0])
    vector: list[float] = batch.vectors[0].tolist()
    return vector
