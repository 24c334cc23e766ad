"""Answers in OpenAI's shapes: whole, or chunk by chunk as server-sent events."""

from __future__ import annotations

import base64
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from msgspec import UNSET, Struct, UnsetType
from numpy.typing import NDArray

from engines.exceptions import SamError
from engines.services.answers.messages import (
    AnswerPart,
    Citation,
    EndEvent,
    Event,
    FallbackCause,
    ReasoningEvent,
    StateEvent,
    TextEvent,
    ToolCallEvent,
)
from migrations_app.openai_api.errors import error_body
from migrations_app.openai_api.requests import AskedText
from migrations_app.openai_api.response_bodies import (
    Call,
    CallDelta,
    CalledFunction,
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    ChatMessageBody,
    EmbeddingList,
    EmbeddingRow,
    EmbeddingUsage,
    PromptDetails,
    TextChoice,
    TextCompletion,
    Usage,
)
from migrations_app.serving.streams.gathered import AnswerFacts, GatheredAnswer
from migrations_app.serving.streams.sse import BEAT, MEDIA_TYPE, data_event

DONE = b"data: [DONE]\n\n"
ShownUsage = Usage | None | UnsetType


class Own(TypedDict):
    """The fields of OwnFields."""

    citations: list[Citation] | UnsetType
    words_only: str | UnsetType
    fallback_for: FallbackCause | UnsetType
    left_out_messages: int | UnsetType
    ignored: list[str] | UnsetType


class Head(Own):
    """The fields of AnswerHead."""

    id: str
    created: int
    model: str
    system_fingerprint: str


@dataclass(slots=True)
class Opening(AnswerFacts):
    """What is known of an answer at its first word, and its name."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))
    late_switch: str = ""
    """Where it was sent whether to reason, when the headers went out before the engine was known."""
    late_effort: str = ""
    """Where it was sent how much, in the same case."""

    def name_unheard(self, switch: str, effort: str) -> list[str]:
        """Return those of two fields, whether and how much to reason, that changed nothing."""
        # A level that was heard is reasoned at, whether there is a switch or not.
        said = {switch: self.has_no_switch, effort: self.has_no_effort}
        said.pop("", None)
        return [name for name, is_unheard in said.items() if is_unheard]

    def own(self) -> Own:
        """Return what SAM tells of the answer in a body of any protocol."""
        return {
            "citations": UNSET if self.citations is None else self.citations,
            "words_only": self.words_only or UNSET,
            "fallback_for": UNSET if self.fallback_for is None else self.fallback_for,
            "left_out_messages": UNSET if self.left_out is None else self.left_out,
            "ignored": self.name_unheard(self.late_switch, self.late_effort) or UNSET,
        }

    def head(self, prefix: str) -> Head:
        """Return what each body of the answer begins with."""
        return {
            "id": f"{prefix}-{self.id}",
            "created": self.created,
            "model": self.engine_id,
            "system_fingerprint": f"revision-{self.revision_id}",
            **self.own(),
        }


class Face(ABC):
    """How one endpoint of one protocol shows an answer."""

    content_type = f"{MEDIA_TYPE}; charset=utf-8"
    """Of an answer that is streamed."""

    @abstractmethod
    def whole_body(self, opening: Opening, answers: Sequence[GatheredAnswer]) -> Struct:
        """Return the body of what is not streamed: one answer, or all that one request asked for."""

    @abstractmethod
    def stream(
        self, opening: Opening, events: AsyncIterator[Event], asked: AskedText
    ) -> AsyncIterator[bytes]:
        """Yield an answer as its protocol streams it; an error ends it in the protocol's words."""


class Shape(Face):
    """How one of OpenAI's older endpoints shows an answer, in chunks that look alike."""

    prefix: str

    def whole_body(self, opening: Opening, answers: Sequence[GatheredAnswer]) -> Struct:
        return self.whole(opening.head(self.prefix), answers)

    def stream(
        self, opening: Opening, events: AsyncIterator[Event], asked: AskedText
    ) -> AsyncIterator[bytes]:
        return chunks(self, opening, events, include_usage=asked.include_usage)

    @abstractmethod
    def whole(self, head: Head, answers: Sequence[GatheredAnswer]) -> Struct:
        """Return the body of answers that are not streamed."""

    @abstractmethod
    def first(self, head: Head, index: int, usage: ShownUsage) -> Struct | None:
        """Return the chunk that opens a choice of a stream, if the endpoint has one."""

    @abstractmethod
    def piece(self, head: Head, index: int, event: AnswerPart, usage: ShownUsage) -> Struct | None:
        """Return the chunk of an event; None for what the endpoint does not show."""

    @abstractmethod
    def last(self, head: Head, index: int, finish_reason: str, usage: ShownUsage) -> Struct:
        """Return the chunk that says why an answer ended."""

    @abstractmethod
    def counted(self, head: Head, usage: Usage) -> Struct:
        """Return the chunk after all that tells the tokens, for who asked for that."""


class ChatShape(Shape):
    """The shape of ``/v1/chat/completions``."""

    prefix = "chatcmpl"

    def whole(self, head: Head, answers: Sequence[GatheredAnswer]) -> ChatCompletion:
        choices = [_chat_choice(index, answer) for index, answer in enumerate(answers)]
        return ChatCompletion(choices=choices, usage=_usage(answers), **head)

    def first(self, head: Head, index: int, usage: ShownUsage) -> ChatChunk:
        return _chat_chunk(head, index, ChatDelta(role="assistant", content=""), usage)

    def piece(self, head: Head, index: int, event: AnswerPart, usage: ShownUsage) -> ChatChunk:
        if isinstance(event, ToolCallEvent):
            call = CallDelta(index=event.index, id=event.id, function=_function(event))
            delta = ChatDelta(tool_calls=[call])
        elif isinstance(event, ReasoningEvent):
            delta = ChatDelta(reasoning_content=event.text)
        else:
            delta = ChatDelta(content=event.text)
        return _chat_chunk(head, index, delta, usage)

    def last(self, head: Head, index: int, finish_reason: str, usage: ShownUsage) -> ChatChunk:
        choice = ChatChunkChoice(index=index, delta=ChatDelta(), finish_reason=finish_reason)
        return ChatChunk(choices=[choice], usage=usage, **head)

    def counted(self, head: Head, usage: Usage) -> ChatChunk:
        return ChatChunk(choices=[], usage=usage, **head)


class CompletionShape(Shape):
    """The shape of the older endpoint, for raw prompts."""

    prefix = "cmpl"

    def whole(self, head: Head, answers: Sequence[GatheredAnswer]) -> TextCompletion:
        choices = [
            TextChoice(index=index, text=answer.text, finish_reason=answer.ended.finish_reason)
            for index, answer in enumerate(answers)
        ]
        return TextCompletion(choices=choices, usage=_usage(answers), **head)

    def first(self, head: Head, index: int, usage: ShownUsage) -> None:
        return None

    def piece(
        self, head: Head, index: int, event: AnswerPart, usage: ShownUsage
    ) -> TextCompletion | None:
        if not isinstance(event, TextEvent):
            return None
        choice = TextChoice(index=index, text=event.text)
        return TextCompletion(choices=[choice], usage=usage, **head)

    def last(self, head: Head, index: int, finish_reason: str, usage: ShownUsage) -> TextCompletion:
        choice = TextChoice(index=index, text="", finish_reason=finish_reason)
        return TextCompletion(choices=[choice], usage=usage, **head)

    def counted(self, head: Head, usage: Usage) -> TextCompletion:
        return TextCompletion(choices=[], usage=usage, **head)


async def whole_answer(face: Face, opening: Opening, events: AsyncIterator[Event]) -> Struct:
    """Return the body of what is not streamed; raises what the stream raises."""
    answers = [GatheredAnswer()]
    async for event in events:
        if answers[-1].end is not None:
            answers.append(GatheredAnswer())
        opening.learn(event)
        answers[-1].take(event)
    return face.whole_body(opening, answers)


async def chunks(
    shape: Shape, opening: Opening, events: AsyncIterator[Event], *, include_usage: bool
) -> AsyncIterator[bytes]:
    """Yield answers, one choice after the other, as server-sent events; an error ends them without ``[DONE]``."""
    writer = _ChunkWriter(shape, opening, None if include_usage else UNSET)
    try:
        async for event in events:
            if isinstance(event, StateEvent):
                yield BEAT
            elif isinstance(event, AnswerPart | EndEvent):
                for chunk in writer.chunks_of(event):
                    yield data_event(chunk)
    except SamError as error:
        yield data_event(error_body(error))
        return
    for chunk in writer.last_chunks():
        yield data_event(chunk)
    yield DONE


class _ChunkWriter:
    """What one stream has shown: who answers, and the choices that have ended."""

    def __init__(self, shape: Shape, opening: Opening, usage: UnsetType | None) -> None:
        self._shape = shape
        self._opening = opening
        self._usage: ShownUsage = usage
        self._head: Head | None = None
        self._ended: list[GatheredAnswer] = []
        self._is_open = False

    def chunks_of(self, event: AnswerPart | EndEvent) -> Iterator[Struct]:
        """Yield what shows an event, of the choice that follows those that have ended."""
        # Who answers is known with the first word.
        head = self._head = self._head or self._opening.head(self._shape.prefix)
        index, usage = len(self._ended), self._usage
        if not self._is_open:
            self._is_open = True
            first = self._shape.first(head, index, usage)
            if first is not None:
                yield first
            # Once is enough for what may be long.
            head["citations"] = head["words_only"] = head["ignored"] = UNSET
        if isinstance(event, EndEvent):
            self._is_open = False
            self._ended.append(GatheredAnswer(end=event))
            yield self._shape.last(head, index, event.finish_reason, usage)
        elif (piece := self._shape.piece(head, index, event, usage)) is not None:
            yield piece

    def last_chunks(self) -> Iterator[Struct]:
        """Yield the chunk that tells the tokens of all choices, for who asked for it."""
        if self._usage is None and self._head is not None:
            yield self._shape.counted(self._head, _usage(self._ended))


def embeddings(
    model: str, vectors: NDArray[np.float32], tokens: int, *, packed: bool
) -> EmbeddingList:
    """Return vectors (n, d) as the body of ``/v1/embeddings``; packed is base64 of float32."""
    rows = [
        EmbeddingRow(index=number, embedding=_row(row, packed=packed))
        for number, row in enumerate(vectors)
    ]
    return EmbeddingList(data=rows, model=model, usage=EmbeddingUsage(tokens, tokens))


def _chat_choice(index: int, answer: GatheredAnswer) -> ChatChoice:
    message = ChatMessageBody(
        content=None if answer.calls and not answer.text else answer.text,
        reasoning_content=answer.reasoning or UNSET,
        tool_calls=[Call(id=one.id, function=_function(one)) for one in answer.calls] or UNSET,
    )
    return ChatChoice(index=index, message=message, finish_reason=answer.ended.finish_reason)


def _chat_chunk(head: Head, index: int, delta: ChatDelta, usage: ShownUsage) -> ChatChunk:
    return ChatChunk(choices=[ChatChunkChoice(index=index, delta=delta)], usage=usage, **head)


def _function(event: ToolCallEvent) -> CalledFunction:
    return CalledFunction(event.name, event.arguments)


def _row(vector: NDArray[np.float32], *, packed: bool) -> str | list[float]:
    if packed:
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    values: list[float] = vector.tolist()
    return values


def _usage(answers: Sequence[GatheredAnswer]) -> Usage:
    """Return what all answers took together, as the day's usage counts it."""
    ends = [answer.ended for answer in answers]
    read, said = (
        sum(end.prompt_tokens for end in ends),
        sum(end.completion_tokens for end in ends),
    )
    return Usage(
        prompt_tokens=read,
        completion_tokens=said,
        total_tokens=read + said,
        prompt_tokens_details=PromptDetails(sum(end.reused_tokens for end in ends)),
    )
