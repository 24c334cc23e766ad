"""What the children of all runtimes can do; a runtime adds how it loads, counts and answers."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from msgspec import to_builtins

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import ChatMessage, EmbeddingBatch
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import Job
from engines.runtimes.child.messages import (
    CountParameters,
    EmbedParameters,
    FormatParameters,
    GenerateParameters,
    Header,
    PromptParameters,
)
from engines.runtimes.reading import TokenReading
from engines.runtimes.text.control_marks import strip_enclosures
from engines.runtimes.text.generation import Effort, GenerationOptions
from engines.runtimes.text.response_format import Json

OWN_EMBEDDING_TOKENS = 512
"""Limit of a chat model that is asked for a vector although nothing says how it embeds."""


class PromptFormatter(Protocol):
    """What the handler needs of a generator."""

    def format(
        self,
        messages: Sequence[ChatMessage],
        *,
        thinking: bool | None = None,
        effort: Effort | None = None,
        tools: Sequence[Json] = (),
    ) -> str:
        """Messages as a prompt in which the marks that people wrote are enclosed."""

    def find_losses(self) -> list[str]:
        """What of conversations the template leaves out, in words."""

    def count(self, text: str, *, from_template: bool) -> int:
        """Tokens of a prompt as it is read."""


class TextEmbedder(Protocol):
    """What the handler needs of an embedder."""

    def embed(self, texts: Sequence[str], *, query: bool) -> EmbeddingBatch: ...

    def read(self, texts: Sequence[str]) -> list[TokenReading]:
        """What the tokenizer makes of each text as a document."""


ModelT = TypeVar("ModelT")
GeneratorT = TypeVar("GeneratorT", bound=PromptFormatter)
EmbedderT = TypeVar("EmbedderT", bound=TextEmbedder)


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """The text a model continues, and how."""

    text: str
    options: GenerationOptions
    from_template: bool
    """Whether a template wrote the text, special tokens included."""


class ModelHandler(abc.ABC, Generic[ModelT, GeneratorT, EmbedderT]):
    """Holds one model, one operation per method; made anew in each child."""

    def __init__(self) -> None:
        self._model: ModelT | None = None
        self._generator: GeneratorT | None = None
        self._embedder: EmbedderT | None = None
        self._operations: dict[str, Callable[[Job, Any], Frame | None]] = {
            "load": self._load,
            "generate": self._generate,
            "embed": self._embed,
            "count": self._count,
            "count_prompt": self._count_prompt,
            "format": self._format,
            "losses": self._find_losses,
            "read": self._read,
        }

    def handle(self, job: Job) -> Frame | None:
        """Answer one request; EngineError for an operation this child does not have."""
        job.begin()
        operation = self._operations.get(job.request.header["op"])
        if operation is None:
            raise EngineError(f"This engine has no operation {job.request.header['op']!r}.")
        return operation(job, job.request.header["parameters"])

    def proceed(self) -> bool:
        """Do a little of what was begun; a runtime that answers one request at a time has nothing."""
        return False

    @abc.abstractmethod
    def _load(self, job: Job, given: Any) -> Frame:
        """Load the files; facts about the model."""

    @abc.abstractmethod
    def _answer(
        self, job: Job, asked: GenerationRequest, given: GenerateParameters
    ) -> Frame | None:
        """Generate, emitting pieces until the job is cancelled; ``None`` while it goes on."""

    @abc.abstractmethod
    def _tokens_of(self, model: ModelT, text: str) -> int:
        """Length of the text in tokens, without any the model would add."""

    @abc.abstractmethod
    def _make_embedder(self, model: ModelT) -> EmbedderT:
        """The embedder of a model that was not loaded for embedding."""

    def _generate(self, job: Job, given: GenerateParameters) -> Frame | None:
        options = GenerationOptions(**given["options"])
        text, messages = given["prompt"], given["messages"]
        if messages is not None:
            text = self._format_for(messages, options)
        return self._answer(
            job, GenerationRequest(text, options, from_template=messages is not None), given
        )

    def _format_for(self, messages: Sequence[ChatMessage], options: GenerationOptions) -> str:
        form = partial(
            self._need_generator().format,
            messages,
            effort=options.template_effort,
            tools=options.shown_tools,
        )
        try:
            return form(thinking=options.template_thinking)
        except InvalidRequestError:
            # A switch that nobody asked for must not be what a template refuses.
            if options.template_thinking == options.thinking:
                raise
        return form(thinking=options.thinking)

    def _embed(self, _job: Job, given: EmbedParameters) -> Frame:
        result = self._need_embedder().embed(given["texts"], query=given["query"])
        errors = {str(number): sentence for number, sentence in result.errors.items()}
        header: Header = {
            "dimension": result.vectors.shape[1],
            "errors": errors,
            "cut": sorted(result.cut),
        }
        return Frame(header, result.vectors.tobytes())

    def _read(self, job: Job, given: CountParameters) -> Frame | None:
        embedder, texts = self._need_embedder(), given["texts"]
        return self._read_apart(
            job,
            sum(map(len, texts)),
            lambda: Frame({"readings": to_builtins(embedder.read(texts))}),
        )

    def _count(self, job: Job, given: CountParameters) -> Frame | None:
        model, texts = self._need_model(), given["texts"]
        return self._read_apart(
            job,
            sum(map(len, texts)),
            lambda: Frame({"counts": [self._tokens_of(model, text) for text in texts]}),
        )

    def _read_apart(self, _job: Job, _chars: int, work: Callable[[], Frame | None]) -> Frame | None:
        """Do what tokenizes so many characters; a runtime that answers several requests, in a thread."""
        return work()

    def _format(self, _job: Job, given: FormatParameters) -> Frame:
        prompt = self._need_generator().format(given["messages"])
        return Frame({"prompt": strip_enclosures(prompt)})

    def _find_losses(self, _job: Job, _given: object) -> Frame:
        return Frame({"losses": self._need_generator().find_losses()})

    def _count_prompt(self, job: Job, given: PromptParameters) -> Frame | None:
        generator, messages = self._need_generator(), given["messages"]
        text = given["prompt"] if messages is None else generator.format(messages)
        count = partial(generator.count, text, from_template=messages is not None)
        return self._read_apart(job, len(text), lambda: Frame({"counts": [count()]}))

    def _need_model(self) -> ModelT:
        if self._model is None:
            raise EngineError("No model is loaded in this engine's process.")
        return self._model

    def _need_generator(self) -> GeneratorT:
        if self._generator is None:
            raise EngineError("This engine only embeds text; choose a chat engine to generate.")
        return self._generator

    def _need_embedder(self) -> EmbedderT:
        """Return the embedder; EngineError without a model."""
        # A chat engine is rarely asked for a vector, and a context for it would take memory at every load.
        if self._embedder is None:
            self._embedder = self._make_embedder(self._need_model())
        return self._embedder
