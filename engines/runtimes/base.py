"""The contract every engine keeps, whatever runs underneath."""

from __future__ import annotations

import abc
import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NotRequired, Self, TypedDict

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import InvalidRequestError, TextNotEmbeddableError
from engines.runtimes.reading import TokenReading
from engines.specs import AdapterSpec

BYTES_PER_TOKEN = 4
"""Average of subword tokenizers on prose; only the default estimate uses it."""

Facts = dict[str, Any]
"""Values for JSON whose keys are each runtime's own, and a plugin's as well."""


class ModelStatus(enum.StrEnum):
    """What an engine can do right now."""

    LOADING = "loading"
    READY = "ready"
    ERROR = "error"
    UNAVAILABLE = "unavailable"


class CalledFunction(TypedDict):
    name: str
    arguments: str
    """JSON, as the model wrote it."""


class MessageToolCall(TypedDict):
    """A call in a message, as in OpenAI's API."""

    id: str
    type: str
    function: CalledFunction


class ChatMessage(TypedDict):
    """One turn; ``role`` is system, user, assistant or tool (a tool's result)."""

    role: str
    content: str
    tool_calls: NotRequired[list[MessageToolCall]]
    """What an assistant called."""
    tool_call_id: NotRequired[str]
    """Which call a tool's result answers."""
    reasoning_content: NotRequired[str]
    """What an assistant thought before it called, for templates that show it between a call and its result."""


@dataclass(frozen=True, slots=True)
class EmbeddingBatch:
    """Vectors of several texts, and a sentence for each text that has none.

    ``vectors`` is (n, d) float32 in the order of the texts; the row of a text in ``errors``
    is NaN, so that using it by mistake shows.
    """

    vectors: NDArray[np.float32]
    errors: dict[int, str] = field(default_factory=dict)
    cut: frozenset[int] = frozenset()
    """Texts that are longer than the model reads: their vectors are the mean of their parts'."""

    def only_vector(self) -> list[float]:
        """Return the vector of a batch of one text; TextNotEmbeddableError when it has none."""
        if self.errors:
            raise TextNotEmbeddableError(self.errors[0])
        vector: list[float] = self.vectors[0].tolist()
        return vector


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well texts answer a question: (n,) float32 from 0 to 1, and how many tokens were read for it."""

    scores: NDArray[np.float32]
    tokens: int
    cut: frozenset[int] = frozenset()
    """Texts that are longer than the model reads: they were judged by their beginnings."""


class BaseModelEngine(abc.ABC):
    """One model that generates text, embeds text, or both.

    Source: the specification's ``BaseModelEngine``. A runtime implements the four abstract
    methods; everything else has a default built on them.
    """

    reads_literals: bool = False
    """Whether ``make_literal`` may enclose texts in a prompt; they are then read without control tokens."""

    reads_calls: bool = False
    """Whether calls of tools come as pieces of their own, told apart by whoever runs the model."""

    def __init__(self, engine_id: str, model_name: str, model_path: str) -> None:
        self.engine_id = engine_id
        self.model_name = model_name
        self.model_path = model_path
        self.status = ModelStatus.UNAVAILABLE
        self.is_loaded = False

    @classmethod
    def list_models(cls, place: str) -> list[str]:
        """What ``model_path`` may be at ``place``, a folder or an address; empty if unknown."""
        return []

    @abc.abstractmethod
    def load_model(self) -> bool:
        """Load the model; True when it is ready."""

    @abc.abstractmethod
    def generate(self, prompt: str, **kwargs: Any) -> str:
        """Answer ``prompt``; options are the runtime's own."""

    @abc.abstractmethod
    def embed(self, text: str) -> list[float]:
        """Vector of ``text`` as a document."""

    @abc.abstractmethod
    def unload_model(self) -> bool:
        """Give the model's memory back; True when it is gone."""

    def stream(self, prompt: str, **kwargs: Any) -> Iterator[str]:
        """Pieces of the answer; their concatenation is what ``generate`` returns."""
        yield self.generate(prompt, **kwargs)

    def embed_query(self, text: str) -> list[float]:
        """Vector of ``text`` as a question to be searched for."""
        return self.embed(text)

    def embed_documents(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Vectors of all texts; a text without one gets a sentence instead of an exception."""
        rows: dict[int, list[float]] = {}
        errors: dict[int, str] = {}
        for number, text in enumerate(texts):
            try:
                rows[number] = self.embed(text)
            except TextNotEmbeddableError as error:
                errors[number] = str(error)
        return EmbeddingBatch(_fill_rows(len(texts), rows), errors)

    def read_documents(self, texts: Sequence[str]) -> list[TokenReading] | None:
        """Return what the tokenizer makes of each text as a document; None without a tokenizer of one's own."""
        return None

    def embed_many(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of all texts, (n, d) float32.

        Raises TextNotEmbeddableError that names the first text without a vector.
        """
        batch = self.embed_documents(texts)
        if batch.errors:
            number = min(batch.errors)
            raise TextNotEmbeddableError(f"Text {number} of the batch: {batch.errors[number]}")
        return batch.vectors

    def rank(self, question: str, texts: Sequence[str]) -> Ranking:
        """How well each text answers a question; InvalidRequestError where the model is not made for it."""
        raise InvalidRequestError(
            f"{self.engine_id} ranks no texts ({len(texts)} were sent); choose a rank model."
        )

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text``; an estimate unless the runtime has a tokenizer."""
        return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)

    def count_prompt_tokens(self, prompt: str | Sequence[ChatMessage]) -> int:
        """Tokens of a prompt as the engine reads it; an estimate where ``count_tokens`` is one."""
        return self.count_tokens(prompt if isinstance(prompt, str) else self.format_prompt(prompt))

    def with_adapters(self, adapters: Sequence[AdapterSpec]) -> BaseModelEngine:
        """Return this engine as it answers with these LoRA adapters; its weights are loaded once.

        Raises InvalidRequestError where the runtime takes none.
        """
        if adapters:
            raise InvalidRequestError(
                f"The runtime of {self.engine_id} does not support adapters; use the llama_cpp "
                "runtime, or answer without them."
            )
        return self

    def format_prompt(self, messages: Sequence[ChatMessage]) -> str:
        """Messages as one prompt that asks for the assistant's next turn."""
        turns = [f"{message['role'].capitalize()}: {message['content']}" for message in messages]
        return "\n".join([*turns, "Assistant:"])

    def find_losses(self) -> list[str]:
        """Name what the engine's own template refuses or leaves out in whatever form it gets it.

        Nothing where the engine has no template of its own.
        """
        return []

    def get_status(self) -> ModelStatus:
        return self.status

    def is_available(self) -> bool:
        """Whether a request now would be answered."""
        return self.is_loaded and self.status is ModelStatus.READY

    def get_engine_info(self) -> Facts:
        """Facts about the engine, ready for JSON."""
        return {
            "engine_id": self.engine_id,
            "model_name": self.model_name,
            "model_path": self.model_path,
            "runtime": type(self).__name__,
            "status": str(self.get_status()),
            "is_loaded": self.is_loaded,
        }

    def close(self) -> None:
        """Unload when loaded; safe to call twice."""
        if self.is_loaded:
            self.unload_model()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _fill_rows(count: int, rows: dict[int, list[float]]) -> NDArray[np.float32]:
    width = len(next(iter(rows.values()))) if rows else 0
    vectors = np.full((count, width), np.nan, dtype=np.float32)
    for number, row in rows.items():
        vectors[number] = row
    return vectors
