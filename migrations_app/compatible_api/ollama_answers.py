"""Answers in Ollama's shapes: whole, or one line of JSON for each piece.

Durations are counted from the request on by the web process, in nanoseconds: until the first word, and from
there on.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from django.http import HttpResponse
from msgspec import UNSET, Struct, UnsetType
from msgspec.json import encode

from engines.exceptions import SamError
from engines.runtimes.text.response_format import Json
from engines.services.answers.messages import (
    AnswerPart,
    EndEvent,
    Event,
    ReasoningEvent,
    ToolCallEvent,
)
from migrations_app.compatible_api.blocks import arguments_of
from migrations_app.compatible_api.errors import reshaped, sentence_of
from migrations_app.openai_api.requests import AskedText
from migrations_app.openai_api.response_bodies import OwnFields
from migrations_app.openai_api.responses import Face, Opening
from migrations_app.serving.streams.gathered import GatheredAnswer

DONE_REASONS = {"length": "length"}


class CalledTool(Struct, frozen=True):
    """A function that the model wants to be called, with its arguments as an object."""

    name: str
    arguments: Json
    index: int = 0


class ToolUse(Struct, frozen=True):
    """One call."""

    function: CalledTool
    id: str


class ChatMessage(Struct, frozen=True, kw_only=True):
    """What the engine said, or a piece of it."""

    role: str = "assistant"
    content: str = ""
    thinking: str | UnsetType = UNSET
    tool_calls: list[ToolUse] | UnsetType = UNSET


class Ending(OwnFields, frozen=True, kw_only=True):
    """What is told of an answer: whether it is complete, and then its counts."""

    model: str
    created_at: str
    done: bool = False
    done_reason: str | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET


class ChatAnswer(Ending, frozen=True, kw_only=True):
    """The answer of ``/api/chat``, or a line of it."""

    message: ChatMessage


class PromptAnswer(Ending, frozen=True, kw_only=True):
    """The answer of ``/api/generate``, or a line of it."""

    response: str
    thinking: str | UnsetType = UNSET


class Said(Struct, frozen=True, kw_only=True):
    """What a body shows of an answer."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCallEvent] = []


class ErrorBody(Struct, frozen=True):
    """The body of every error, and the line that ends a stream with one."""

    error: str


class OllamaFace(Face):
    """How one of Ollama's doors shows an answer."""

    content_type = "application/x-ndjson"

    def __init__(self) -> None:
        self._began = time.monotonic_ns()
        self._first: int | None = None

    @abstractmethod
    def shown(self, said: Said, ending: Ending) -> Ending:
        """Return the body that shows what was said."""

    def whole_body(self, opening: Opening, answers: Sequence[GatheredAnswer]) -> Ending:
        (answer,) = answers
        said = Said(text=answer.text, reasoning=answer.reasoning, calls=answer.calls)
        return self.shown(said, self._ended(opening, answer.ended))

    async def stream(
        self, opening: Opening, events: AsyncIterator[Event], asked: AskedText
    ) -> AsyncIterator[bytes]:
        try:
            async for event in events:
                if isinstance(event, AnswerPart):
                    self._first = self._first or time.monotonic_ns()
                    yield _line(self.shown(_said(event), self._head(opening)))
                elif isinstance(event, EndEvent):
                    yield _line(self.shown(Said(), self._ended(opening, event)))
        except SamError as error:
            yield _line(error_body(error))

    def _head(self, opening: Opening) -> Ending:
        return Ending(model=opening.engine_id, created_at=_now())

    def _ended(self, opening: Opening, end: EndEvent) -> Ending:
        now = time.monotonic_ns()
        first = self._first or now
        return Ending(
            model=opening.engine_id,
            created_at=_now(),
            done=True,
            done_reason=DONE_REASONS.get(end.finish_reason, "stop"),
            total_duration=now - self._began,
            load_duration=0,
            prompt_eval_count=end.prompt_tokens,
            prompt_eval_duration=first - self._began,
            eval_count=end.completion_tokens,
            eval_duration=now - first,
            **opening.own(),
        )


class OllamaChatFace(OllamaFace):
    """The shape of ``/api/chat``."""

    def shown(self, said: Said, ending: Ending) -> ChatAnswer:
        message = ChatMessage(
            content=said.text,
            thinking=said.reasoning or UNSET,
            tool_calls=[_tool_use(call) for call in said.calls] or UNSET,
        )
        return ChatAnswer(message=message, **_fields(ending))


class OllamaPromptFace(OllamaFace):
    """The shape of ``/api/generate``."""

    def shown(self, said: Said, ending: Ending) -> PromptAnswer:
        thinking = said.reasoning or UNSET
        return PromptAnswer(response=said.text, thinking=thinking, **_fields(ending))


def nothing_asked(face: OllamaFace, model: str) -> Ending:
    """Return the answer of a request that only wants a model loaded, which happens at its first use."""
    ending = Ending(model=model, created_at=_now(), done=True, done_reason="load")
    return face.shown(Said(), ending)


def show_error(error: SamError) -> HttpResponse:
    """Return an error as Ollama's clients read it."""
    return reshaped(error, error_body(error))


def error_body(error: SamError) -> ErrorBody:
    """Return the body of an error."""
    return ErrorBody(sentence_of(error))


def _fields(ending: Ending) -> Json:
    return {name: getattr(ending, name) for name in Ending.__struct_fields__}


def _line(body: Struct) -> bytes:
    return encode(body) + b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _said(event: AnswerPart) -> Said:
    if isinstance(event, ToolCallEvent):
        return Said(calls=[event])
    if isinstance(event, ReasoningEvent):
        return Said(reasoning=event.text)
    return Said(text=event.text)


def _tool_use(call: ToolCallEvent) -> ToolUse:
    return ToolUse(CalledTool(call.name, arguments_of(call.arguments), call.index), call.id)
