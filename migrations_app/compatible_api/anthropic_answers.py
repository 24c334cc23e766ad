"""Answers in the shapes of Anthropic's ``/v1/messages``: whole, or as its server-sent events.

Source: https://docs.anthropic.com/en/api/messages-streaming. Tokens of the prompt are counted at the end of
an answer, so ``message_start`` says 0 and ``message_delta`` the number. Which stop word ended an answer is
not known, so it ended its turn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Literal

from django.http import HttpResponse
from msgspec import UNSET, Struct, UnsetType

from engines.exceptions import SamError
from engines.runtimes.text.response_format import Json
from engines.services.answers.messages import EndEvent, Event, StateEvent
from migrations_app.compatible_api.anthropic_requests import THREAD_UNSUPPORTED
from migrations_app.compatible_api.blocks import (
    Block,
    BlockClosed,
    BlockEvent,
    BlockGrew,
    arguments_of,
    blocks_of,
    in_blocks,
)
from migrations_app.compatible_api.errors import reshaped, sentence_of, status_of
from migrations_app.openai_api.errors import INTERNAL
from migrations_app.openai_api.requests import AskedText
from migrations_app.openai_api.response_bodies import ModelEntry, OwnFields
from migrations_app.openai_api.responses import Face, Opening
from migrations_app.serving.streams.gathered import GatheredAnswer
from migrations_app.serving.streams.sse import named_event

STOP_REASONS = {"length": "max_tokens", "tool_calls": "tool_use"}
ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
TOLD_CODES = (THREAD_UNSUPPORTED,)
"""Codes that are Anthropic's own."""


class TextBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """A part of the answer."""

    text: str = ""


class ThinkingBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="thinking"):
    """What the model thought; nothing here signs or reads signatures."""

    thinking: str = ""
    signature: str = ""


class ToolUseBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_use"):
    """A tool that the model wants to be called."""

    id: str
    name: str
    input: Json = {}


ContentBlock = TextBlock | ThinkingBlock | ToolUseBlock


class MessageUsage(Struct, frozen=True, kw_only=True):
    """Counted tokens; those that were computed for an earlier answer are told apart."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    @classmethod
    def of(cls, end: EndEvent) -> MessageUsage:
        """Return an answer's tokens as Anthropic adds them up."""
        return cls(
            input_tokens=end.prompt_tokens - end.reused_tokens,
            output_tokens=end.completion_tokens,
            cache_read_input_tokens=end.reused_tokens,
        )


class MessageBody(OwnFields, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """The answer of ``/v1/messages``."""

    id: str
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[ContentBlock] = []
    stop_reason: str | None = None
    stop_sequence: None = None
    usage: MessageUsage = MessageUsage()


class MessageStart(Struct, frozen=True, tag_field="type", tag="message_start"):
    """A message begins, without content."""

    message: MessageBody


class Ping(Struct, frozen=True, tag_field="type", tag="ping"):
    """The stream lives."""


class BlockStart(Struct, frozen=True, tag_field="type", tag="content_block_start"):
    """A block begins, empty."""

    index: int
    content_block: ContentBlock


class TextDelta(Struct, frozen=True, tag_field="type", tag="text_delta"):
    text: str


class ThinkingDelta(Struct, frozen=True, tag_field="type", tag="thinking_delta"):
    thinking: str


class InputDelta(Struct, frozen=True, tag_field="type", tag="input_json_delta"):
    partial_json: str


class BlockDelta(Struct, frozen=True, tag_field="type", tag="content_block_delta"):
    """A block grows."""

    index: int
    delta: TextDelta | ThinkingDelta | InputDelta


class BlockStop(Struct, frozen=True, tag_field="type", tag="content_block_stop"):
    """A block is complete."""

    index: int


class StopDelta(Struct, frozen=True):
    """Why the message ended."""

    stop_reason: str
    stop_sequence: None = None


class MessageDelta(Struct, frozen=True, tag_field="type", tag="message_delta"):
    """What is known of a message at its end."""

    delta: StopDelta
    usage: MessageUsage


class MessageStop(Struct, frozen=True, tag_field="type", tag="message_stop"):
    """A message is complete."""


class ErrorCode(Struct, frozen=True):
    """By what a client knows an error that it can do something about by itself."""

    error_code: str


class ErrorDetail(Struct, frozen=True):
    """What went wrong."""

    type: str
    message: str
    details: ErrorCode | UnsetType = UNSET


class ErrorBody(Struct, frozen=True, tag_field="type", tag="error"):
    """The body of every error, and the event that ends a stream with one."""

    error: ErrorDetail


class TokenCount(Struct, frozen=True):
    """The answer of ``/v1/messages/count_tokens``."""

    input_tokens: int


class ModelInfo(Struct, frozen=True, tag_field="type", tag="model"):
    """One model that the caller may name."""

    id: str
    display_name: str
    created_at: str
    max_input_tokens: int | None


class ModelPage(Struct, frozen=True):
    """The answer of ``/v1/models`` for Anthropic's clients, all of it on one page."""

    data: list[ModelInfo]
    first_id: str | None
    last_id: str | None
    has_more: bool = False


StreamedEvent = (
    MessageStart
    | Ping
    | BlockStart
    | BlockDelta
    | BlockStop
    | MessageDelta
    | MessageStop
    | ErrorBody
)


class MessagesFace(Face):
    """The shape of ``/v1/messages``."""

    def whole_body(self, opening: Opening, answers: Sequence[GatheredAnswer]) -> MessageBody:
        (answer,) = answers
        return MessageBody(
            id=_id(opening),
            model=opening.engine_id,
            content=[_whole_block(block) for block in blocks_of(answer)],
            stop_reason=_stop_reason(answer.ended),
            usage=MessageUsage.of(answer.ended),
            **opening.own(),
        )

    async def stream(
        self, opening: Opening, events: AsyncIterator[Event], asked: AskedText
    ) -> AsyncIterator[bytes]:
        begun = False
        try:
            async for event in in_blocks(events):
                if isinstance(event, StateEvent):
                    yield _written(Ping())
                    continue
                if not begun:
                    begun = True
                    yield _written(MessageStart(self._beginning(opening)))
                    yield _written(Ping())
                if isinstance(event, EndEvent):
                    stop = StopDelta(_stop_reason(event))
                    yield _written(MessageDelta(stop, MessageUsage.of(event)))
                    yield _written(MessageStop())
                else:
                    yield _written(_block_event(event))
        except SamError as error:
            yield _written(error_body(error))

    def _beginning(self, opening: Opening) -> MessageBody:
        return MessageBody(id=_id(opening), model=opening.engine_id, **opening.own())


def listed_models(entries: Sequence[ModelEntry]) -> ModelPage:
    """Return models as Anthropic's clients list them."""
    shown = [shown_model(entry) for entry in entries]
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return ModelPage(shown, first, last)


def shown_model(entry: ModelEntry) -> ModelInfo:
    """Return one model as Anthropic's clients read it."""
    created = datetime.fromtimestamp(entry.created, UTC).isoformat()
    return ModelInfo(entry.id, entry.id, created, entry.context_length)


def show_error(error: SamError) -> HttpResponse:
    """Return an error as Anthropic's clients read it."""
    return reshaped(error, error_body(error))


def error_body(error: SamError) -> ErrorBody:
    """Return the body of an error."""
    status = status_of(error)
    usual = "api_error" if status >= INTERNAL else "invalid_request_error"
    details = ErrorCode(error.code) if error.code in TOLD_CODES else UNSET
    return ErrorBody(ErrorDetail(ERROR_TYPES.get(status, usual), sentence_of(error), details))


def _written(event: StreamedEvent) -> bytes:
    return named_event(str(event.__struct_config__.tag), event)


def _id(opening: Opening) -> str:
    return f"msg_{opening.id}"


def _stop_reason(end: EndEvent) -> str:
    return STOP_REASONS.get(end.finish_reason, "end_turn")


def _block_event(event: BlockEvent) -> BlockStart | BlockDelta | BlockStop:
    number = event.block.number
    if isinstance(event, BlockClosed):
        return BlockStop(number)
    if isinstance(event, BlockGrew):
        return BlockDelta(number, _delta(event))
    return BlockStart(number, _empty_block(event.block))


def _delta(event: BlockGrew) -> TextDelta | ThinkingDelta | InputDelta:
    if event.block.kind == "call":
        return InputDelta(event.piece)
    return ThinkingDelta(event.piece) if event.block.kind == "reasoning" else TextDelta(event.piece)


def _empty_block(block: Block) -> ContentBlock:
    if block.kind == "call":
        return ToolUseBlock(id=block.call_id, name=block.name)
    return ThinkingBlock() if block.kind == "reasoning" else TextBlock()


def _whole_block(block: Block) -> ContentBlock:
    if block.kind == "call":
        return ToolUseBlock(id=block.call_id, name=block.name, input=arguments_of(block.text))
    if block.kind == "reasoning":
        return ThinkingBlock(thinking=block.text)
    return TextBlock(text=block.text)
