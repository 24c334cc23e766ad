"""Answers in OpenAI's shapes: whole, or chunk by chunk as server-sent events.

Source: the API reference at https://platform.openai.com/docs/api-reference. ``citations`` and
``fallback_for`` (which engine could not be made ready, and why) are SAM's, so is ``left_out_messages``
(how many of the oldest the engine's context had no room for),
``reasoning_content`` DeepSeek's: what a model thought before it answered.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.exceptions import SamError
from engines.services.answers.events import ANSWER_PARTS, Event
from migrations_app.openai_api.errors import error_body

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Said:
    """What an answer said, put together from its events."""

    text: str = ""
    reasoning: str = ""
    calls: list[Json] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Add what an event says."""
        if event["type"] == "text":
            self.text += event["text"]
        elif event["type"] == "reasoning":
            self.reasoning += event["text"]
        elif event["type"] == "tool_call":
            self.calls.append(_call(event))


@dataclass(slots=True)
class Opening:
    """What is known of an answer at its first word."""

    engine_id: str = ""
    revision_id: int = 0
    citations: list[Json] | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))
    fallback_for: Json | None = None
    left_out: int | None = None

    def learn(self, event: Event) -> None:
        """Take what an event before the first word says."""
        if event["type"] == "begin":
            self.engine_id, self.revision_id = event["engine_id"], event["revision_id"]
            self.fallback_for = event.get("fallback_for")
        elif event["type"] == "citations":
            self.citations = event["citations"]
        elif event["type"] == "fitted":
            self.left_out = event["left_out"]


class Shape:
    """The shape of one endpoint's answers."""

    prefix = "chatcmpl"
    whole = "chat.completion"
    chunk = "chat.completion.chunk"

    def choice(self, said: Said, finish_reason: str) -> Json:
        content = None if said.calls and not said.text else said.text
        message = {"role": "assistant", "content": content, "refusal": None}
        thought = {"reasoning_content": said.reasoning} if said.reasoning else {}
        calls = {"tool_calls": said.calls} if said.calls else {}
        return _choice({"message": {**message, **thought, **calls}}, finish_reason)

    def first(self) -> Json | None:
        """Return the choice that opens a stream, if the endpoint has one."""
        return _choice({"delta": {"role": "assistant", "content": ""}}, None)

    def piece(self, event: Event) -> Json | None:
        """Return the choice of a chunk; None for what the endpoint does not show."""
        if event["type"] == "tool_call":
            call = {"index": event["index"], **_call(event)}
            return _choice({"delta": {"tool_calls": [call]}}, None)
        name = "content" if event["type"] == "text" else "reasoning_content"
        return _choice({"delta": {name: event["text"]}}, None)

    def last(self, finish_reason: str) -> Json:
        return _choice({"delta": {}}, finish_reason)


class CompletionShape(Shape):
    """The shape of the older endpoint, for raw prompts."""

    prefix = "cmpl"
    whole = chunk = "text_completion"

    def choice(self, said: Said, finish_reason: str) -> Json:
        return _choice({"text": said.text}, finish_reason)

    def first(self) -> Json | None:
        return None

    def piece(self, event: Event) -> Json | None:
        return _choice({"text": event["text"]}, None) if event["type"] == "text" else None

    def last(self, finish_reason: str) -> Json:
        return _choice({"text": ""}, finish_reason)


async def whole_answer(shape: Shape, opening: Opening, events: AsyncIterator[Event]) -> Json:
    """Return the body of an answer that is not streamed; raises what the stream raises."""
    said = Said()
    end: Event = {"finish_reason": "stop", "prompt_tokens": 0, "completion_tokens": 0}
    async for event in events:
        said.take(event)
        if event["type"] == "end":
            end = event
    choice = shape.choice(said, end["finish_reason"])
    return {**_head(shape, opening, shape.whole), "choices": [choice], "usage": _usage(end)}


async def chunks(
    shape: Shape, opening: Opening, events: AsyncIterator[Event], *, include_usage: bool
) -> AsyncIterator[bytes]:
    """Yield an answer as server-sent events; an error ends it without ``[DONE]``."""
    head = _head(shape, opening, shape.chunk)
    usage = {"usage": None} if include_usage else {}
    first = shape.first()
    if first is not None:
        yield _sse({**head, "choices": [first], **usage})
    head.pop("citations", None)
    try:
        async for event in events:
            choice = _chunk(shape, event)
            if choice is not None:
                yield _sse({**head, "choices": [choice], **usage})
            if event["type"] == "end" and include_usage:
                yield _sse({**head, "choices": [], "usage": _usage(event)})
    except SamError as error:
        yield _sse(error_body(error))
        return
    yield DONE


def embeddings(model: str, vectors: NDArray[np.float32], tokens: int, *, packed: bool) -> Json:
    """Return vectors (n, d) as the body of ``/v1/embeddings``; packed is base64 of float32."""
    rows = [
        {"object": "embedding", "index": number, "embedding": _row(row, packed=packed)}
        for number, row in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": rows, "model": model, "usage": usage}


def model_entry(name: str, created: int) -> Json:
    """Return one model of ``/v1/models``."""
    return {"id": name, "object": "model", "created": created, "owned_by": "sam"}


def _chunk(shape: Shape, event: Event) -> Json | None:
    if event["type"] == "end":
        return shape.last(event["finish_reason"])
    return shape.piece(event) if event["type"] in ANSWER_PARTS else None


def _call(event: Event) -> Json:
    function = {"name": event["name"], "arguments": event["arguments"]}
    return {"id": event["id"], "type": "function", "function": function}


def _row(vector: NDArray[np.float32], *, packed: bool) -> str | list[float]:
    if packed:
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    values: list[float] = vector.tolist()
    return values


def _head(shape: Shape, opening: Opening, kind: str) -> Json:
    head = {
        "id": f"{shape.prefix}-{opening.id}",
        "object": kind,
        "created": opening.created,
        "model": opening.engine_id,
        "system_fingerprint": f"revision-{opening.revision_id}",
    }
    own = {
        "citations": opening.citations,
        "fallback_for": opening.fallback_for,
        "left_out_messages": opening.left_out,
    }
    return head | {name: value for name, value in own.items() if value is not None}


def _choice(content: Json, finish_reason: str | None) -> Json:
    return {"index": 0, **content, "logprobs": None, "finish_reason": finish_reason}


def _usage(end: Event) -> Json:
    given, made = end["prompt_tokens"], end["completion_tokens"]
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": end.get("reused_tokens", 0)},
    }


def _sse(body: Json) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"
