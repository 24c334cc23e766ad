"""What other protocols send, field by field, without any server; and how their streams are shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.exceptions import SamError
from engines.services.answers.messages import (
    EndEvent,
    Event,
    ReasoningEvent,
    StateEvent,
    TextEvent,
    ToolCallEvent,
)
from migrations_app.compatible_api.anthropic_answers import MessagesFace
from migrations_app.compatible_api.anthropic_requests import messages_request
from migrations_app.compatible_api.ollama_answers import OllamaChatFace, OllamaPromptFace
from migrations_app.compatible_api.ollama_requests import (
    NothingAskedError,
    ollama_chat,
    ollama_prompt,
    ollama_texts,
)
from migrations_app.compatible_api.responses_answers import ResponsesFace
from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import AskedText, Body
from migrations_app.openai_api.responses import Face, Opening, whole_answer
from migrations_app.serving.streams.entries import StreamBrokenError
from migrations_app.serving.streams.sse import BEAT

TOOL = {"name": "weather", "description": "Tells it.", "parameters": {"type": "object"}}
CALL = {"name": "weather", "arguments": {"city": "Graz"}}
ANTHROPIC: dict[str, Any] = {
    "model": "sam",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "stop_sequences": ["."],
    "tools": [{"name": "weather", "input_schema": {"type": "object"}, "cache_control": {}}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "metadata": {"user_id": "1"},
    "messages": [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Graz"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "Rain."}],
                },
                {"type": "text", "text": "And?"},
            ],
        },
    ],
}
RESPONSES: dict[str, Any] = {
    "model": "sam",
    "max_output_tokens": 9,
    "instructions": "Be brief.",
    "stop": ["."],
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "high", "summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "input": [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        {
            "type": "function_call",
            "call_id": "t1",
            "name": "weather",
            "arguments": '{"city": "Graz"}',
        },
        {"type": "function_call_output", "call_id": "t1", "output": "Rain."},
        {"role": "user", "content": [{"type": "input_text", "text": "And?"}]},
    ],
}
OLLAMA: dict[str, Any] = {
    "model": "sam:latest",
    "options": {"num_predict": 9, "stop": ["."], "num_ctx": 8192},
    "tools": [{"type": "function", "function": TOOL}],
    "think": "high",
    "keep_alive": -1,
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": "I look.",
            "thinking": "Hm.",
            "tool_calls": [{"function": CALL}],
        },
        {"role": "tool", "tool_name": "weather", "content": "Rain."},
        {"role": "user", "content": "And?"},
    ],
}
READERS: list[tuple[dict[str, Any], Callable[[Body], AskedText]]] = [
    (ANTHROPIC, messages_request),
    (RESPONSES, lambda body: ResponsesFace().read(body)),
    (OLLAMA, ollama_chat),
]


@pytest.mark.parametrize(("body", "read"), READERS, ids=["anthropic", "responses", "ollama"])
def test_one_conversation_is_read_the_same_from_every_protocol(
    body: dict[str, Any], read: Callable[[Body], AskedText]
) -> None:
    asked = read(body)

    messages = asked.question.messages or []
    assert asked.model == "sam"
    assert [message["role"] for message in messages] == [
        *("system", "user", "assistant", "tool", "user"),
    ]
    assert [message["content"] for message in messages] == [
        *("Be brief.", "Hi", "I look.", "Rain.", "And?"),
    ]
    (call,) = messages[2]["tool_calls"]
    assert messages[3]["tool_call_id"] == call["id"]
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Graz"}
    assert asked.question.max_tokens == 9
    assert asked.question.stop == ["."]
    assert [tool["function"]["name"] for tool in asked.question.tools or []] == ["weather"]


@pytest.mark.parametrize(
    ("body", "read", "place"),
    [
        ({**ANTHROPIC, "max_token": 9}, messages_request, "max_token"),
        ({**ANTHROPIC, "messages": []}, messages_request, "messages"),
        ({**ANTHROPIC, "tools": [{"type": "bash_1", "name": "bash"}]}, messages_request, "tools[0]"),
        ({**ANTHROPIC, "messages": [{"role": "user", "content": [{"type": "image"}]}]}, messages_request, "messages[0].content[0]"),
        ({**RESPONSES, "previous_response_id": "r"}, READERS[1][1], "previous_response_id"),
        ({**RESPONSES, "background": True}, READERS[1][1], "background"),
        ({**RESPONSES, "input": [{"type": "item_reference", "id": "m"}]}, READERS[1][1], "input[0]"),
        ({**RESPONSES, "input": [{"role": "user", "content": [{"type": "input_image"}]}]}, READERS[1][1], "input[0].content[0]"),
        ({**RESPONSES, "tools": [{"type": "web_search"}]}, READERS[1][1], "tools[0]"),
        ({**OLLAMA, "options": {"temprature": 1}}, ollama_chat, "options.temprature"),
        ({**OLLAMA, "options": {"typical_p": 0.5}}, ollama_chat, "options.typical_p"),
        ({**OLLAMA, "format": "xml"}, ollama_chat, "format"),
        ({"model": "sam", "prompt": "Hi", "suffix": "!"}, ollama_prompt, "suffix"),
        ({"model": "sam", "prompt": "Hi", "images": ["aaaa"]}, ollama_prompt, "images"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_named(
    body: dict[str, Any], read: Callable[[Body], AskedText], place: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        read(body)

    assert refused.value.param == place
    assert refused.value.status == 400


@pytest.mark.parametrize("given", [{}, {"input": ""}, {"input": []}, {"prompt": ""}])
def test_ollamas_clients_may_ask_for_no_vectors_to_have_a_model_loaded(
    given: dict[str, Any],
) -> None:
    with pytest.raises(NothingAskedError, match="sam"):
        ollama_texts({"model": "sam:latest", **given})


def test_ollamas_prompt_is_a_chat_or_raw_and_may_be_missing() -> None:
    chat = ollama_prompt({"model": "sam", "prompt": "Hi", "system": "Be brief.", "stream": False})
    raw = ollama_prompt({"model": "sam", "prompt": "Once", "raw": True})
    with pytest.raises(NothingAskedError, match="sam"):
        ollama_prompt({"model": "sam:latest"})

    assert [message["content"] for message in chat.question.messages or []] == ["Be brief.", "Hi"]
    assert (chat.stream, raw.stream) == (False, True)
    assert raw.question.prompt == "Once"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something may be put in a body's stead."""
    if isinstance(value, dict):
        return [path, *(found for key in value for found in places(value[key], (*path, key)))]
    if isinstance(value, list):
        return [path, *(at for n, one in enumerate(value) for at in places(one, (*path, n)))]
    return [path]


def put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(body) if isinstance(body, dict) else list(body)
    copy[path[0]] = put(body[path[0]], path[1:], value)
    return copy


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_body_with_anything_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    body, read = data.draw(st.sampled_from(READERS))
    path = data.draw(st.sampled_from([at for at in places(body) if at]))
    try:
        read(put(body, path, data.draw(JSON_VALUES)))
    except (SamError, NothingAskedError):
        return


@settings(max_examples=100, deadline=None)
@given(texts=JSON_VALUES)
def test_texts_to_embed_are_read_or_refused(texts: Any) -> None:
    try:
        ollama_texts({"model": "sam", "input": texts})
    except (SamError, NothingAskedError):
        return


EVENTS: list[Event] = [
    ReasoningEvent("They "),
    ReasoningEvent("greet."),
    TextEvent("Hé"),
    TextEvent("llo."),
    ToolCallEvent(index=0, id="c1", name="weather", arguments='{"city": "Graz"}'),
    ToolCallEvent(index=1, id="c2", name="weather", arguments="no JSON"),
    EndEvent("tool_calls", 5, 9, 2),
]


async def played(events: list[Event], error: SamError | None = None) -> AsyncIterator[Event]:
    for event in events:
        yield event
    if error is not None:
        raise error


def asked_responses() -> ResponsesFace:
    face = ResponsesFace()
    face.read(RESPONSES)
    return face


FACES: list[Callable[[], Face]] = [MessagesFace, asked_responses, OllamaChatFace, OllamaPromptFace]


def streamed_parts(face: Face, events: AsyncIterator[Event]) -> list[bytes]:
    """A stream, part by part."""

    async def collect() -> list[bytes]:
        asked = messages_request(ANTHROPIC)
        return [part async for part in face.stream(Opening("tiny", 3), events, asked)]

    return asyncio.run(collect())


def streamed(face: Face, events: AsyncIterator[Event]) -> list[dict[str, Any]]:
    """The bodies of a stream's events."""
    parts = streamed_parts(face, events)
    return [json.loads(part.split(b"data: ")[-1]) for part in parts]


def test_anthropics_stream_has_its_blocks_in_order() -> None:
    events = streamed(MessagesFace(), played(EVENTS))

    assert [(event["type"], event.get("index")) for event in events] == [
        ("message_start", None),
        ("ping", None),
        *[("content_block_start", 0), ("content_block_delta", 0), ("content_block_delta", 0)],
        *[("content_block_stop", 0), ("content_block_start", 1), ("content_block_delta", 1)],
        *[("content_block_delta", 1), ("content_block_stop", 1), ("content_block_start", 2)],
        *[("content_block_delta", 2), ("content_block_stop", 2), ("content_block_start", 3)],
        *[("content_block_delta", 3), ("content_block_stop", 3)],
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    # The Vercel AI SDK refuses a block whose citations are null.
    blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert all(None not in block.values() for block in blocks)
    assert events[-2]["usage"] == {
        "input_tokens": 3,
        "output_tokens": 9,
        "cache_read_input_tokens": 2,
        "cache_creation_input_tokens": 0,
    }


LIVING: list[tuple[Callable[[], Face], list[bytes]]] = [
    (MessagesFace, [b'event: ping\ndata: {"type":"ping"}\n\n'] * 2),
    (asked_responses, [BEAT] * 2),
    (OllamaChatFace, []),
    (OllamaPromptFace, []),
]


@pytest.mark.parametrize(("face", "told"), LIVING)
def test_a_stream_shows_that_it_lives_as_its_protocol_does(
    face: Callable[[], Face], told: list[bytes]
) -> None:
    plain = streamed_parts(face(), played(EVENTS))
    beating = streamed_parts(face(), played([StateEvent(), *EVENTS[:3], StateEvent(), *EVENTS[3:]]))

    assert beating[: len(told[:1])] == told[:1]
    assert len(beating) == len(plain) + len(told)
    assert [part for part in told if part in beating] == told


def test_the_items_of_a_response_are_those_of_its_stream() -> None:
    events = streamed(asked_responses(), played(EVENTS))
    face = asked_responses()
    whole = asyncio.run(whole_answer(face, Opening("tiny", 3), played(EVENTS)))

    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    final = events[-1]["response"]
    assert events[-1]["type"] == "response.completed"
    assert final["output"] == done
    assert [item["type"] for item in done] == [
        *("reasoning", "message", "function_call", "function_call"),
    ]
    assert [item["type"] for item in done] == [item.__struct_config__.tag for item in whole.output]  # type: ignore[attr-defined]
    assert done[0]["summary"] == [{"type": "summary_text", "text": "They greet."}]
    assert done[1]["content"][0]["text"] == "Héllo."
    assert done[3]["arguments"] == "no JSON"
    assert final["usage"]["total_tokens"] == 14


def test_ollama_shows_calls_with_arguments_as_objects() -> None:
    lines = streamed(OllamaChatFace(), played(EVENTS))

    said = [line["message"] for line in lines]
    assert [message.get("thinking") for message in said[:2]] == ["They ", "greet."]
    assert said[4]["tool_calls"][0]["function"]["arguments"] == {"city": "Graz"}
    # What a model wrote is not lost because it is no JSON.
    assert said[5]["tool_calls"][0]["function"]["arguments"] == {"arguments": "no JSON"}
    assert [line["done"] for line in lines] == [False] * 6 + [True]
    assert (lines[-1]["prompt_eval_count"], lines[-1]["eval_count"]) == (5, 9)


@pytest.mark.parametrize("make", FACES)
def test_a_stream_that_breaks_off_says_so_in_its_protocols_words(make: Callable[[], Face]) -> None:
    events = streamed(make(), played(EVENTS[:3], StreamBrokenError("The host fell silent.")))

    assert "The host fell silent." in json.dumps(events[-1])
    assert events[-1].get("type") in ("error", "response.failed", None)
    assert not events[-1].get("done")
