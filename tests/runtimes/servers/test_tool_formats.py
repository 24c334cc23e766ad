"""The form of an answer and calls of tools, in the words of OpenAI's and Ollama's servers."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import ChatMessage, MessageToolCall
from engines.runtimes.streaming import StreamingEngine
from engines.runtimes.text.generation import Generation, Piece, ToolCall
from tests.runtimes.servers.ollama_server import OllamaStore, ollama_server
from tests.runtimes.servers.test_ollama import _engine as ollama_engine
from tests.runtimes.servers.test_openai_compatible import _engine as openai_engine
from tests.runtimes.servers.test_openai_compatible import _events, _talker

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"days": {"type": "integer"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA, "strict": True}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
CHOICE = {"type": "function", "function": {"name": "weather"}}
CALL: MessageToolCall = {
    "id": "a1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"days": 2}'},
}
CHAT: list[ChatMessage] = [
    {"role": "user", "content": "Rain?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "Yes.", "tool_call_id": "a1"},
]


def drained(pieces: Generator[Piece, None, Generation]) -> tuple[list[Piece], Generation]:
    found = []
    while True:
        try:
            found.append(next(pieces))
        except StopIteration as end:
            return found, end.value


def said(engine: StreamingEngine, messages: Sequence[ChatMessage], **options: Any) -> list[Piece]:
    return drained(engine.stream_pieces(messages, **options))[0]


def part(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def call_part(index: int, name: str | None, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return part(tool_calls=[{"index": index, "id": "x", "type": "function", "function": function}])


def test_an_openai_server_gets_the_form_as_it_came_and_its_calls_are_put_together() -> None:
    called = _events(
        part(content="Let me see."),
        call_part(0, "weather", '{"da'),
        call_part(1, "weather", "{}"),
        call_part(0, None, 'ys": 2}'),
        part("tool_calls"),
    )
    plain = _events(part(content="Yes."), part("stop"))
    with _talker(called, plain) as (endpoint, asked), openai_engine(endpoint, "m") as engine:
        engine.load_model()
        form = {"tools": [TOOL], "tool_choice": CHOICE, "parallel_tool_calls": False}
        pieces = said(engine, CHAT, response_format=FORMAT, **form)
        said(engine, CHAT[:1])

    assert [piece.text for piece in pieces] == ["Let me see.", "", ""]
    calls = [piece.tool_call for piece in pieces if piece.tool_call]
    assert calls == [ToolCall("weather", '{"days": 2}'), ToolCall("weather", "{}")]
    sent = {"messages": CHAT, "response_format": FORMAT, **form}
    assert {name: asked[0][name] for name in sent} == sent
    assert not {"response_format", *form} & set(asked[1])


def test_a_server_that_never_ends_a_call_is_stopped() -> None:
    endless = _events(*[call_part(0, None, "x" * 60_000) for _ in range(18)], part("stop"))
    with _talker(endless) as (endpoint, _asked), openai_engine(endpoint, "m") as engine:
        engine.load_model()
        with pytest.raises(EngineError, match="set max_tokens"):
            said(engine, CHAT, tools=[TOOL])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OllamaStore]:
    with ollama_server(tmp_path) as running:
        yield running


def test_ollama_gets_schema_and_tools_and_arguments_as_objects(
    store: OllamaStore, tiny_llama: Path
) -> None:
    with ollama_engine(store, str(tiny_llama)) as engine:
        engine.load_model()
        said(engine, CHAT, response_format=FORMAT, tools=[TOOL], max_tokens=2)
        said(engine, CHAT[:1], max_tokens=2)
        with pytest.raises(InvalidRequestError, match="leaves it to the model"):
            said(engine, CHAT, tools=[TOOL], tool_choice="required")
    first, second = store.posted("/api/chat")

    assert (first["format"], first["tools"][0]["function"]["name"]) == (SCHEMA, "weather")
    function = {"name": "weather", "arguments": {"days": 2}}
    assert first["messages"][1]["tool_calls"] == [{"function": function}]
    assert first["messages"][2]["content"] == "Yes."
    assert not second.get("format")
    assert not second.get("tools")
