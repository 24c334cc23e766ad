"""Events in the shapes that OpenAI's clients read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs, to_builtins

from engines.exceptions import EngineCrashed, InvalidRequestError, NotFoundError, SamError
from engines.services.answers.messages import (
    Citation,
    CitationsEvent,
    EndEvent,
    Event,
    ReasoningEvent,
    StateEvent,
    TextEvent,
)
from migrations_app.compatible_api.anthropic_answers import MessagesFace
from migrations_app.compatible_api.ollama_answers import OllamaChatFace
from migrations_app.openai_api.errors import RefusedError, error_body, error_response
from migrations_app.openai_api.responses import (
    ChatShape,
    CompletionShape,
    Face,
    Opening,
    Shape,
    chunks,
    whole_answer,
)
from migrations_app.serving.protocol import ErrorFields
from migrations_app.serving.streams.client import EngineLoadingError
from migrations_app.serving.streams.entries import StreamBrokenError
from migrations_app.serving.streams.sse import BEAT

EVENTS: list[Event] = [
    ReasoningEvent("They greet "),
    ReasoningEvent("me."),
    TextEvent("Hé"),
    TextEvent("llo."),
    EndEvent(finish_reason="stop", prompt_tokens=5, completion_tokens=9, reused_tokens=2),
]
CITATION = Citation(
    number=1,
    chunk_id=1,
    document_id=1,
    base_id=1,
    title="T",
    text="t",
    score=0.5,
    content_hash="00",
)


async def played(events: list[Event], error: SamError | None = None) -> AsyncIterator[Event]:
    for event in events:
        yield event
    if error is not None:
        raise error


def sent(shape: Shape, events: AsyncIterator[Event], *, include_usage: bool = False) -> list[bytes]:
    opening = Opening("tiny", 3, [CITATION], id="x", created=7)

    async def collect() -> list[bytes]:
        return [part async for part in chunks(shape, opening, events, include_usage=include_usage)]

    return asyncio.run(collect())


def bodies(parts: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(part.removeprefix(b"data: ")) for part in parts if b"[DONE]" not in part]


def test_reasoning_is_told_apart_from_the_answer_in_a_stream() -> None:
    parts = sent(ChatShape(), played(EVENTS))

    deltas = [body["choices"][0]["delta"] for body in bodies(parts)]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "They greet "},
        {"reasoning_content": "me."},
        {"content": "Hé"},
        {"content": "llo."},
        {},
    ]
    assert parts[-1] == b"data: [DONE]\n\n"
    assert all(part.startswith(b"data: ") and part.endswith(b"\n\n") for part in parts)


def test_a_stream_shows_that_it_lives_before_and_between_its_words() -> None:
    events = [StateEvent(), EVENTS[2], StateEvent(), *EVENTS[3:]]

    parts = sent(ChatShape(), played(events))

    assert [part == BEAT for part in parts] == [True, False, False, True, *[False] * 3]
    assert bodies([parts[1]])[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}


def test_an_error_before_the_first_word_is_an_event_of_a_stream_that_has_begun() -> None:
    parts = sent(ChatShape(), played([StateEvent()], InvalidRequestError("Too long.")))

    assert parts[0] == BEAT
    assert [body["error"]["message"] for body in bodies(parts[1:])] == ["Too long."]


def test_reasoning_is_told_apart_in_a_whole_answer() -> None:
    body = to_builtins(asyncio.run(whole_answer(ChatShape(), Opening("tiny", 3), played(EVENTS))))

    assert body["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Héllo.",
        "refusal": None,
        "reasoning_content": "They greet me.",
    }
    assert body["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 9,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    assert not {"citations", "words_only"} & set(body)


@pytest.mark.parametrize("face", [ChatShape(), CompletionShape(), MessagesFace(), OllamaChatFace()])
def test_why_passages_were_found_by_words_alone_stands_beside_them(face: Face) -> None:
    cited = CitationsEvent([CITATION], "Only words were searched in “Minutes”: start a host.")

    body = to_builtins(
        asyncio.run(whole_answer(face, Opening("tiny", 3), played([cited, *EVENTS])))
    )

    assert [one["number"] for one in body["citations"]] == [1]
    assert body["words_only"] == cited.words_only


def test_a_completion_shows_the_answer_only() -> None:
    answer = asyncio.run(whole_answer(CompletionShape(), Opening("tiny", 3), played(EVENTS)))
    whole = to_builtins(answer)
    streamed = bodies(sent(CompletionShape(), played(EVENTS), include_usage=True))

    assert whole["choices"][0]["text"] == "Héllo."
    assert [body["choices"][0]["text"] for body in streamed if body["choices"]] == [
        "Hé",
        "llo.",
        "",
    ]
    assert streamed[-1]["usage"]["total_tokens"] == 14


def test_a_stream_that_breaks_off_ends_with_its_error_and_is_not_done() -> None:
    error = StreamBrokenError("The host fell silent.")

    parts = sent(ChatShape(), played(EVENTS[2:3], error))

    assert bodies(parts)[-1] == {
        "error": {
            "message": "The host fell silent.",
            "type": "server_error",
            "param": None,
            "code": "stream_broken",
        }
    }
    assert b"[DONE]" not in b"".join(parts)


@pytest.mark.parametrize(
    ("error", "status", "again"),
    [
        (RefusedError("No.", param="n"), 400, None),
        (InvalidRequestError("No."), 400, None),
        (NotFoundError("No."), 404, None),
        (EngineCrashed("No."), 502, None),
        (EngineLoadingError("Soon."), 503, "5"),
        (StreamBrokenError("Gone."), 503, "5"),
        (SamError("No."), 500, None),
    ],
)
def test_each_error_has_its_status(error: SamError, status: int, again: str | None) -> None:
    response = error_response(error)

    assert (response.status_code, response.get("Retry-After")) == (status, again)
    assert json.loads(response.content) == to_builtins(error_body(error))


@pytest.mark.parametrize("transient", [True, False])
def test_an_error_of_a_newer_worker_keeps_whether_it_passes(transient: bool) -> None:
    told = ErrorFields.of(SamError("No."))
    error = structs.replace(told, code="from_the_future", transient=transient).error()

    assert (type(error), str(error)) == (SamError, "No.")
    assert error_response(error).status_code == (503 if transient else 500)
