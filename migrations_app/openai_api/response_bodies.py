"""What ``/v1`` answers: every body, with its types.

Source: the API reference at https://platform.openai.com/docs/api-reference. ``reasoning_content`` is DeepSeek's: what a
model thought before it answered.
"""

from __future__ import annotations

from typing import Literal

from django.http import HttpResponse
from msgspec import UNSET, Struct, UnsetType, json

from engines.services.answers.messages import Citation, FallbackCause
from migrations_app.openai_api.request_bodies import RankDocument


class PromptDetails(Struct, frozen=True):
    """Tokens of the prompt that were computed for an earlier answer."""

    cached_tokens: int = 0


class Usage(Struct, frozen=True, kw_only=True):
    """Counted tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class CalledFunction(Struct, frozen=True):
    """A function that the model wants to be called; the arguments are JSON as it wrote them."""

    name: str
    arguments: str


class Call(Struct, frozen=True, kw_only=True):
    """One call of a tool."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class CallDelta(Call, frozen=True, kw_only=True):
    """One call of a tool in a stream, whole."""

    index: int


class ChatMessageBody(Struct, frozen=True, kw_only=True):
    """What the engine said."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[Call] | UnsetType = UNSET


class ChatDelta(Struct, frozen=True, kw_only=True):
    """What a chunk adds."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[CallDelta] | UnsetType = UNSET


class ChatChoice(Struct, frozen=True, kw_only=True):
    """The only choice of a chat."""

    index: int = 0
    message: ChatMessageBody
    logprobs: None = None
    finish_reason: str | None


class ChatChunkChoice(Struct, frozen=True, kw_only=True):
    """The only choice of a chat's chunk."""

    index: int = 0
    delta: ChatDelta
    logprobs: None = None
    finish_reason: str | None = None


class TextChoice(Struct, frozen=True, kw_only=True):
    """The only choice of a completion, or of its chunk."""

    index: int = 0
    text: str
    logprobs: None = None
    finish_reason: str | None = None


class OwnFields(Struct, frozen=True, kw_only=True):
    """What SAM tells of an answer beside what its protocol knows."""

    citations: list[Citation] | UnsetType = UNSET
    words_only: str | UnsetType = UNSET
    """Why they were found by words alone."""
    fallback_for: FallbackCause | UnsetType = UNSET
    """Which engine could not be made ready, and why."""
    left_out_messages: int | UnsetType = UNSET
    """How many of the oldest the engine's context had no room for."""
    ignored: list[str] | UnsetType = UNSET
    """What changed nothing, of which that was known too late for the header of a stream."""


class AnswerHead(OwnFields, frozen=True, kw_only=True):
    """What every answer tells of itself."""

    id: str
    created: int
    model: str
    system_fingerprint: str


class ChatCompletion(AnswerHead, frozen=True, kw_only=True):
    """The answer of ``/v1/chat/completions``."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatChoice]
    usage: Usage


class ChatChunk(AnswerHead, frozen=True, kw_only=True):
    """A part of it, as a server-sent event; the last one has no choices where usage is asked for."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[ChatChunkChoice]
    usage: Usage | UnsetType | None = UNSET


class TextCompletion(AnswerHead, frozen=True, kw_only=True):
    """The answer of ``/v1/completions``, or a part of it."""

    object: Literal["text_completion"] = "text_completion"
    choices: list[TextChoice]
    usage: Usage | UnsetType | None = UNSET


class EmbeddingRow(Struct, frozen=True, kw_only=True):
    """The vector of one text; as text it is base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Struct, frozen=True):
    """Counted tokens of texts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Struct, frozen=True, kw_only=True):
    """The answer of ``/v1/embeddings``."""

    object: Literal["list"] = "list"
    data: list[EmbeddingRow]
    model: str
    usage: EmbeddingUsage


class RankResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One text by its number, and how well it answers the question: 0 to 1."""

    index: int
    relevance_score: float
    document: RankDocument | UnsetType = UNSET
    truncated: bool = False
    """Whether it is longer than the model reads, and was judged by its beginning; SAM's own."""


class RankList(Struct, frozen=True, kw_only=True):
    """The answer of ``/v1/rerank``, the best first."""

    object: Literal["list"] = "list"
    model: str
    results: list[RankResult]
    usage: EmbeddingUsage


Capability = Literal[
    "chat", "completions", "embeddings", "tools", "json_schema", "reasoning", "knowledge", "rerank"
]


class ModelEntry(Struct, frozen=True, kw_only=True):
    """One model that the caller may name."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["sam"] = "sam"
    capabilities: list[Capability] = []
    """SAM's: what it can be asked for."""
    context_length: int | None = None
    """SAM's: tokens of its context, where that is known."""


class ModelList(Struct, frozen=True, kw_only=True):
    """The answer of ``/v1/models``."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class ErrorDetail(Struct, frozen=True, kw_only=True):
    """What is wrong; ``param`` names the field at fault."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(Struct, frozen=True):
    """The body of every error."""

    error: ErrorDetail


def body_response(body: Struct, *, status: int = 200) -> HttpResponse:
    """Return a body as an answer."""
    return HttpResponse(json.encode(body), content_type="application/json", status=status)
