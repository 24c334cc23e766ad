"""JSON by a schema, and calls of tools, through the unmodified ``openai`` client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from jsonschema import Draft202012Validator

from deploy.demo.models.tiny_models import write_llama_chat
from engines.models import ModelCopy, PromptTemplate, TokenUsage
from tests.openai_api.conftest import Asker, Served
from tests.tokens import token_for

MESSAGES: Any = [{"role": "user", "content": "How will the weather be?"}]
COMMON: dict[str, Any] = {
    "model": "sam",
    "messages": MESSAGES,
    "temperature": 0,
    "seed": 3,
    "max_tokens": 300,
}
PLACE = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 9},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
NOTHING = {"type": "object", "additionalProperties": False}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}}
TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "parameters": PLACE}},
    {"type": "function", "function": {"name": "stop", "parameters": NOTHING}},
]
NAMED: Any = {"type": "function", "function": {"name": "weather"}}
CALLED: Any = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call00001",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Graz", "days": 2}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call00001", "content": "Rain."},
]


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With room for the descriptions of tools."""
    path = tmp_path_factory.mktemp("models") / "tiny-llama-f16.gguf"
    return write_llama_chat(path, context_length=2048)


@pytest.fixture
def client(asker: Asker, served: Served) -> Iterator[openai.OpenAI]:
    address, key = f"{served.web.address}/v1", token_for(asker.user)
    with openai.OpenAI(base_url=address, api_key=key, max_retries=0) as made:
        yield made


def counted() -> int:
    usage = TokenUsage.objects.get()
    return usage.tokens_in + usage.tokens_out


def gathered(chunks: list[Any]) -> tuple[str, list[dict[str, str]], str]:
    """What a stream said, called and ended with."""
    text, calls, reason = "", dict[int, dict[str, str]](), ""
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        text += choice.delta.content or ""
        reason = choice.finish_reason or reason
        for part in choice.delta.tool_calls or ():
            call = calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
            call["id"] += part.id or ""
            call["name"] += part.function.name or ""
            call["arguments"] += part.function.arguments or ""
    return text, [calls[index] for index in sorted(calls)], reason


def test_json_keeps_its_schema_streamed_or_not_and_is_counted(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**COMMON, response_format=FORMAT)
    chunks = list(
        client.chat.completions.create(
            **COMMON, response_format=FORMAT, stream=True, stream_options={"include_usage": True}
        )
    )

    assert whole.usage is not None
    said = whole.choices[0].message.content or ""
    Draft202012Validator(PLACE).validate(json.loads(said))
    assert whole.choices[0].finish_reason == "stop"
    assert gathered(chunks) == (said, [], "stop")
    assert chunks[-1].usage == whole.usage
    assert counted() == 2 * whole.usage.total_tokens


def test_any_object_may_be_asked_for(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        **{**COMMON, "max_tokens": 20}, response_format={"type": "json_object"}
    )

    assert (answer.choices[0].message.content or "").startswith("{")


@pytest.mark.parametrize("choice", ["required", NAMED])
def test_a_call_that_must_come_is_valid_streamed_or_not(client: openai.OpenAI, choice: Any) -> None:
    asked = {**COMMON, "tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True))

    message = whole.choices[0].message
    (call,) = message.tool_calls or []
    assert call.type == "function"
    schema = PLACE if call.function.name == "weather" else NOTHING
    assert schema == PLACE or choice == "required"
    Draft202012Validator(schema).validate(json.loads(call.function.arguments))
    assert (message.content, whole.choices[0].finish_reason) == (None, "tool_calls")
    text, (streamed,), reason = gathered(chunks)
    assert (text, reason) == ("", "tool_calls")
    assert streamed["arguments"] == call.function.arguments
    assert len(streamed["id"]) == len(call.id) == 9


def test_several_calls_come_one_after_the_other(client: openai.OpenAI) -> None:
    go = {"type": "function", "function": {"name": "go", "parameters": NOTHING}}
    asked = {**COMMON, "max_tokens": 900, "tools": [go, TOOLS[1]], "tool_choice": "required"}
    answer = client.chat.completions.create(**asked)

    calls = answer.choices[0].message.tool_calls or []
    assert len(calls) > 1
    assert len({call.id for call in calls}) == len(calls)


def test_a_model_that_may_choose_and_the_results_of_calls_are_answered(
    client: openai.OpenAI,
) -> None:
    asked: dict[str, Any] = {**COMMON, "max_tokens": 12}
    free = client.chat.completions.create(**asked, tools=TOOLS)
    none = client.chat.completions.create(**asked, tools=TOOLS, tool_choice="none")
    plain = client.chat.completions.create(**asked)
    after = client.chat.completions.create(
        **{**asked, "messages": [*MESSAGES, *CALLED]}, tools=TOOLS
    )

    assert none.choices[0].message.content == plain.choices[0].message.content
    assert free.usage is not None
    assert plain.usage is not None
    assert after.usage is not None
    assert free.usage.prompt_tokens > plain.usage.prompt_tokens
    assert after.usage.prompt_tokens > free.usage.prompt_tokens
    assert after.choices[0].message.content


def test_a_persons_chat_format_tells_of_tools_as_well(client: openai.OpenAI, asker: Asker) -> None:
    PromptTemplate.objects.create(
        family=asker.revision.model.model_family, chat_format="<user>{user_input}</user>"
    )

    answer = client.chat.completions.create(**COMMON, tools=TOOLS, tool_choice=NAMED)

    assert answer.choices[0].message.tool_calls


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "#"}, "no text fits it"),
        ({"type": "string", "pattern": "(a"}, "regex"),
        (
            {"required": "a"},
            r"kept: failed to compile [^:]*: Expected array for .required., got [^:]*\. Make",
        ),
        ({"type": "object", "properties": {f"p{n}": {} for n in range(1500)}}, "items"),
        ({"if": {"type": "string"}}, "Unimplemented"),
    ],
)
def test_a_schema_that_cannot_be_kept_is_the_clients_error_and_blames_no_file(
    client: openai.OpenAI, schema: dict[str, Any], reason: str
) -> None:
    asked: Any = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}

    with pytest.raises(openai.BadRequestError, match=reason):
        client.chat.completions.create(**COMMON, response_format=asked)
    streamed = client.chat.completions.create(**{**COMMON, "max_tokens": 3}, stream=True)

    assert gathered(list(streamed))[2] == "length"
    copy = ModelCopy.objects.get()
    assert (copy.status, copy.error) == ("downloaded", "")


def test_what_is_wrong_with_tools_is_named(client: openai.OpenAI) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"messages": CALLED[1:]}, "messages[0].tool_call_id"),
    ]
    for more, param in wrong:
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**{**COMMON, **more})
        assert caught.value.param == param
    assert not TokenUsage.objects.exists()
