"""What an answer tells of itself in a stream whose headers went out before its engine was known."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from redis import Redis

from engines.services.answers.messages import (
    BeginEvent,
    EndEvent,
    Event,
    FittedEvent,
    StateEvent,
    TextEvent,
)
from migrations_app.compatible_api.anthropic_answers import MessagesFace
from migrations_app.compatible_api.anthropic_requests import messages_request
from migrations_app.compatible_api.ollama_answers import OllamaChatFace, OllamaPromptFace
from migrations_app.compatible_api.ollama_requests import ollama_chat, ollama_prompt
from migrations_app.compatible_api.responses_answers import ResponsesFace
from migrations_app.limits.admission import Admission
from migrations_app.openai_api import answering
from migrations_app.openai_api.requests import AskedText, Body, chat_request
from migrations_app.openai_api.responses import ChatShape, Face

HI = {"model": "sam", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
PROMPT = {"model": "sam", "prompt": "Hi", "think": "none"}
RESPONSE = {"model": "sam", "input": "Hi", "stream": True, "reasoning": {"effort": "none"}}
Door = tuple[Callable[[], Face], Callable[[Body], AskedText], Body, str]
DOORS: list[Door] = [
    (ChatShape, chat_request, {**HI, "think": False}, "think"),
    (MessagesFace, messages_request, {**HI, "thinking": {"type": "disabled"}}, "thinking"),
    (OllamaChatFace, ollama_chat, {**HI, "think": False}, "think"),
    (OllamaPromptFace, ollama_prompt, PROMPT, "think"),
    (ChatShape, chat_request, {**HI, "reasoning_effort": "high"}, "reasoning_effort"),
    (ChatShape, chat_request, {**HI, "reasoning_effort": "none"}, "reasoning_effort"),
]


@pytest.fixture
def admission(db: None, redis_client: Redis) -> Iterator[Admission]:
    held = Admission(User.objects.create(username="alan"), 1, 1)
    yield held
    held.release()


def play(pause: float) -> Callable[..., AsyncGenerator[Event]]:
    """An answer of an engine that has no switch and no effort, is still being loaded, and has no room for everything."""

    async def events(*_: object) -> AsyncGenerator[Event]:
        yield StateEvent()
        await asyncio.sleep(pause)
        yield BeginEvent(engine_id="tiny", revision_id=3, has_no_switch=True, has_no_effort=True)
        yield FittedEvent(2)
        yield TextEvent("Once")
        yield EndEvent(finish_reason="stop", prompt_tokens=1, completion_tokens=1)

    return events


def streamed(face: Face, asked: AskedText, admission: Admission) -> tuple[str, list[Any]]:
    """What the header names, and the bodies of the stream."""

    async def collect() -> tuple[str, list[Any]]:
        response: Any = await answering._answer_admitted(
            face, asked, asked.requests_of(1, None), admission
        )
        parts: AsyncIterator[bytes] = response.streaming_content
        told = b"".join([part async for part in parts]).decode()
        return response.get("x-sam-ignored", ""), bodies(told)

    return asyncio.run(collect())


def bodies(told: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in told.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def mentions(body: object, name: str) -> list[Any]:
    """Every value of a field, wherever it stands."""
    if not isinstance(body, dict):
        return []
    inner = [found for value in body.values() for found in mentions(value, name)]
    return [*([body[name]] if name in body else []), *inner]


def responses_door() -> Door:
    face = ResponsesFace()
    return lambda: face, face.read, RESPONSE, "reasoning.effort"


@pytest.mark.parametrize("door", [*DOORS, responses_door()])
def test_a_switch_that_no_header_can_name_any_more_is_named_in_the_stream(
    monkeypatch: pytest.MonkeyPatch, admission: Admission, door: Door
) -> None:
    make, read, body, name = door
    monkeypatch.setattr(answering, "HEADERS_SECONDS", 0.01)
    monkeypatch.setattr(answering, "stream_answer", play(0.1))

    header, told = streamed(make(), read(body), admission)

    found = [one for part in told for one in mentions(part, "ignored")]
    assert header == ""
    assert found[0] == [name]
    assert all(one == [name] for one in found)


@pytest.mark.parametrize("door", [*DOORS, responses_door()])
def test_a_switch_that_the_header_names_is_not_named_twice(
    monkeypatch: pytest.MonkeyPatch, admission: Admission, door: Door
) -> None:
    make, read, body, name = door
    monkeypatch.setattr(answering, "stream_answer", play(0))

    header, told = streamed(make(), read(body), admission)

    assert header == name
    assert not [one for part in told for one in mentions(part, "ignored")]


@pytest.mark.parametrize("door", [*DOORS, responses_door()])
def test_messages_without_room_are_counted_at_every_door(
    monkeypatch: pytest.MonkeyPatch, admission: Admission, door: Door
) -> None:
    make, read, body, _ = door
    monkeypatch.setattr(answering, "stream_answer", play(0))

    _, told = streamed(make(), read(body), admission)

    assert 2 in [one for part in told for one in mentions(part, "left_out_messages")]
