"""What ``/v1/responses`` answers: every body and every event, with its types.

Source: https://platform.openai.com/docs/api-reference/responses-streaming. How many of an answer's tokens
were reasoning is not counted, so it is 0.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from engines.runtimes.text.response_format import Choice, Json
from engines.services.answers.messages import EndEvent
from migrations_app.openai_api.response_bodies import OwnFields

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(Struct, frozen=True, tag_field="type", tag="output_text"):
    """A text that the engine said."""

    text: str
    annotations: list[Json] = []
    logprobs: list[Json] = []


class SummaryText(Struct, frozen=True, tag_field="type", tag="summary_text"):
    """What the model thought."""

    text: str


class MessageItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """A message of the assistant."""

    id: str
    role: Literal["assistant"] = "assistant"
    status: ItemStatus
    content: list[OutputText]


class ReasoningItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning"):
    """What the model thought before it answered."""

    id: str
    status: ItemStatus
    summary: list[SummaryText]


class CallItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """A function that the model wants to be called."""

    id: str
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    arguments: str
    status: ItemStatus


Item = MessageItem | ReasoningItem | CallItem


class InputDetails(Struct, frozen=True):
    """Tokens of the prompt that were computed for an earlier answer."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """Not counted here."""

    reasoning_tokens: int = 0


class ResponseUsage(Struct, frozen=True, kw_only=True):
    """Counted tokens."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int

    @classmethod
    def of(cls, end: EndEvent) -> ResponseUsage:
        """Return an answer's tokens."""
        return cls(
            input_tokens=end.prompt_tokens,
            input_tokens_details=InputDetails(end.reused_tokens),
            output_tokens=end.completion_tokens,
            output_tokens_details=OutputDetails(),
            total_tokens=end.prompt_tokens + end.completion_tokens,
        )


class Incomplete(Struct, frozen=True):
    """Why an answer is not complete."""

    reason: str


class Failure(Struct, frozen=True):
    """What broke an answer off."""

    code: str
    message: str


class Response(OwnFields, frozen=True, kw_only=True):
    """The answer of ``/v1/responses``; what was asked for stands in it again."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    model: str
    output: list[Item] = []
    usage: ResponseUsage | None = None
    error: Failure | None = None
    incomplete_details: Incomplete | None = None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: None = None
    reasoning: Json
    store: bool = False
    temperature: float | None
    text: Json
    tool_choice: Choice
    tools: list[Json]
    top_p: float | None
    truncation: Literal["auto"] = "auto"


class StreamedEvent(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Any event of a stream; they are numbered from 0."""

    sequence_number: int = 0


class ResponseCreated(StreamedEvent, frozen=True, kw_only=True, tag="response.created"):
    response: Response


class ResponseInProgress(StreamedEvent, frozen=True, kw_only=True, tag="response.in_progress"):
    response: Response


class ResponseCompleted(StreamedEvent, frozen=True, kw_only=True, tag="response.completed"):
    response: Response


class ResponseIncomplete(StreamedEvent, frozen=True, kw_only=True, tag="response.incomplete"):
    response: Response


class ResponseFailed(StreamedEvent, frozen=True, kw_only=True, tag="response.failed"):
    response: Response


class ErrorHappened(StreamedEvent, frozen=True, kw_only=True, tag="error"):
    code: str
    message: str
    param: str | None


class ItemAdded(StreamedEvent, frozen=True, kw_only=True, tag="response.output_item.added"):
    output_index: int
    item: Item


class ItemDone(StreamedEvent, frozen=True, kw_only=True, tag="response.output_item.done"):
    output_index: int
    item: Item


class PartEvent(StreamedEvent, frozen=True, kw_only=True):
    """About the only part of a message."""

    item_id: str
    output_index: int
    content_index: int = 0


class PartAdded(PartEvent, frozen=True, kw_only=True, tag="response.content_part.added"):
    part: OutputText


class PartDone(PartEvent, frozen=True, kw_only=True, tag="response.content_part.done"):
    part: OutputText


class TextGrew(PartEvent, frozen=True, kw_only=True, tag="response.output_text.delta"):
    delta: str
    logprobs: list[Json] = []


class TextDone(PartEvent, frozen=True, kw_only=True, tag="response.output_text.done"):
    text: str
    logprobs: list[Json] = []


class SummaryEvent(StreamedEvent, frozen=True, kw_only=True):
    """About the only part of a summary."""

    item_id: str
    output_index: int
    summary_index: int = 0


class SummaryAdded(
    SummaryEvent, frozen=True, kw_only=True, tag="response.reasoning_summary_part.added"
):
    part: SummaryText


class SummaryPartDone(
    SummaryEvent, frozen=True, kw_only=True, tag="response.reasoning_summary_part.done"
):
    part: SummaryText


class SummaryGrew(
    SummaryEvent, frozen=True, kw_only=True, tag="response.reasoning_summary_text.delta"
):
    delta: str


class SummaryDone(
    SummaryEvent, frozen=True, kw_only=True, tag="response.reasoning_summary_text.done"
):
    text: str


class CallEvent(StreamedEvent, frozen=True, kw_only=True):
    """About the arguments of a call."""

    item_id: str
    output_index: int


class CallGrew(CallEvent, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"):
    delta: str


class CallDone(CallEvent, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    arguments: str
    name: str
