"""Bodies that programs send to ``/v1`` and that were refused once: each is read as it is meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import to_builtins

from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import chat_request, completion_request
from migrations_app.serving.protocol import STREAM

ASK = {"role": "user", "content": "Hi"}
CHAT = {"model": "sam", "messages": [ASK]}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=a)b"}}}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "description": "Does it."}}
MANY = [
    {"type": "function", "function": {"name": f"f{number}", "description": "x" * 4_000}}
    for number in range(20)
]


def assistant(**more: Any) -> dict[str, Any]:
    return {"role": "assistant", **more}


def call(arguments: Any) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}


def called(arguments: Any) -> list[dict[str, Any]]:
    result = {"role": "tool", "tool_call_id": "1", "content": None}
    return [ASK, assistant(content=None, tool_calls=[call(arguments)]), result]


def named(name: str, schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


DEEP = '{"a": ' + "[" * 300 + "]" * 300 + "}"
ARGUMENTS: list[tuple[Any, dict[str, Any]]] = [
    ("", {}),
    (None, {}),
    ("{}", {}),
    ('{"a": 1}', {"a": 1}),
    ({"a": 1}, {"a": 1}),
    ('{"a": "cut o', {"arguments": '{"a": "cut o'}),
    ("[]", {"arguments": "[]"}),
    ("null", {"arguments": "null"}),
    ("[" * 100_000, {"arguments": "[" * 100_000}),
    (DEEP, {"arguments": DEEP}),
]


@pytest.mark.parametrize(("written", "read"), ARGUMENTS)
def test_arguments_of_older_calls_are_an_object_whatever_was_written(
    written: Any, read: dict[str, Any]
) -> None:
    messages = chat_request({**CHAT, "messages": called(written)}).question.messages

    assert messages is not None
    assert json.loads(messages[1]["tool_calls"][0]["function"]["arguments"]) == read
    assert messages[2]["content"] == ""


REFUSAL = {"type": "refusal", "refusal": "No."}
HISTORIES: list[tuple[list[dict[str, Any]], list[tuple[str, str]]]] = [
    ([assistant(content=None), ASK], [("assistant", ""), ("user", "Hi")]),
    ([{"role": "user", "content": None}], [("user", "")]),
    ([assistant(content=[REFUSAL]), ASK], [("assistant", "No."), ("user", "Hi")]),
    ([assistant(refusal="No."), ASK], [("assistant", "No."), ("user", "Hi")]),
    ([assistant(content="", refusal=None), ASK], [("assistant", ""), ("user", "Hi")]),
    (
        [{"role": "system", "content": "A"}, ASK, {"role": "developer", "content": "B"}, ASK],
        [("system", "A"), ("user", "Hi"), ("system", "B"), ("user", "Hi")],
    ),
    ([assistant(content=[{"type": "output_text", "text": "a"}]), {"role": "user", "content": [
        {"type": "input_text", "text": "b"}]}], [("assistant", "a"), ("user", "b")]),
    ([assistant(content=[{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "a"}]), ASK],
     [("assistant", "a"), ("user", "Hi")]),
    (
        [{"role": "user", "name": "bob", "content": [
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "b"},
        ]}],
        [("user", "a\nb")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("turns", "read"), HISTORIES)
def test_turns_are_read_however_they_hold_their_text(
    turns: list[dict[str, Any]], read: list[tuple[str, str]]
) -> None:
    asked = chat_request({**CHAT, "messages": turns})

    messages = asked.question.messages or []
    assert [(message["role"], message["content"]) for message in messages] == read
    assert STREAM.request_body(asked.requests_of(1, None)[0])


TEXT = {"type": "text", "text": "So."}
THOUGHTS: list[Callable[[str], dict[str, Any]]] = [
    lambda text: {"content": None, "reasoning_content": text},
    lambda text: {"content": None, "reasoning": text},
    lambda text: {"content": [{"type": "thinking", "thinking": text, "signature": "s"}]},
    lambda text: {
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}, TEXT]
    },
]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_thoughts_are_kept_between_the_calls_that_answer_the_last_question(
    thought: Callable[[str], dict[str, Any]],
) -> None:
    turns = [
        ASK,
        assistant(**thought("Older.")),
        ASK,
        assistant(tool_calls=[call("{}")], **thought("I call.")),
        {"role": "tool", "tool_call_id": "1", "content": "Rain."},
    ]

    messages = to_builtins(chat_request({**CHAT, "messages": turns}).question)["messages"]

    thoughts = [message.get("reasoning_content") for message in messages]
    assert thoughts == [None, None, None, "I call.", None]


TAKEN: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "cache control of tools": (
        {"tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}]},
        {"tools": [TOOL]},
        ["tools.cache_control"],
    ),
    "80 KB of tools": ({"tools": MANY}, {"tools": MANY}, []),
    "cache_prompt": ({"cache_prompt": True, "id_slot": -1}, {}, ["cache_prompt", "id_slot"]),
    "hints of OpenAI": ({"user": "x", "store": False, "metadata": None}, {}, ["user", "store"]),
    "enable_thinking": ({"enable_thinking": False}, {"thinking": False}, []),
    "think": ({"think": True}, {"thinking": True}, []),
    "think by effort": ({"think": "low"}, {"thinking": True, "effort": "low"}, []),
    "think not": ({"think": "none"}, {"thinking": False}, []),
    "thinking disabled": ({"thinking": {"type": "disabled"}}, {"thinking": False}, []),
    "thinking enabled": (
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"thinking": True, "effort": 1024},
        [],
    ),
    "thinking as the model likes": ({"thinking": {"type": "auto"}}, {}, []),
    "samplers that are off": (
        {"typical_p": 1.0, "tfs_z": 1, "mirostat": 0, "dry_multiplier": 0.0, "ignore_eos": False},
        {},
        [],
    ),
    "reasoning off": ({"reasoning": {"enabled": False}}, {"thinking": False}, []),
    "reasoning by effort": ({"reasoning": {"effort": "high"}}, {"effort": "high"}, []),
    "no effort": ({"reasoning": {"effort": "none"}}, {"thinking": False}, []),
    "reasoning_effort": ({"reasoning_effort": "low"}, {"effort": "low"}, []),
    "no reasoning_effort": ({"reasoning_effort": "none"}, {"thinking": False}, []),
    "least reasoning_effort": ({"reasoning_effort": "minimal"}, {"thinking": False}, []),
    "a switch before an effort": (
        {"enable_thinking": True, "reasoning_effort": "none"},
        {"thinking": True},
        ["reasoning_effort"],
    ),
    "thinking of a template": (
        {"chat_template_kwargs": {"thinking": True, "reasoning_effort": "low"}},
        {"thinking": True, "effort": "low"},
        [],
    ),
    "the template before the rest": (
        {"chat_template_kwargs": {"enable_thinking": True}, "think": False},
        {"thinking": True},
        ["think"],
    ),
    "repetition_penalty": ({"repetition_penalty": 1.1}, {"repeat_penalty": 1.1}, []),
    "both penalties": (
        {"repetition_penalty": 1.1, "repeat_penalty": 1.2},
        {"repeat_penalty": 1.2},
        [],
    ),
    "no limit": ({"max_tokens": -1, "max_completion_tokens": -2}, {}, []),
    "all tokens": ({"top_k": -1}, {"top_k": 0}, []),
    "any tool": (
        {"tools": [TOOL], "tool_choice": "any"},
        {"tools": [TOOL], "tool_choice": "required"},
        [],
    ),
    "tools as /v1/responses takes them": (
        {
            "tools": [{"type": "function", **TOOL["function"]}],
            "tool_choice": {"type": "function", "name": "f"},
        },
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        [],
    ),
    "a provider's tools beside others": (
        {"tools": [{"type": "custom", "custom": {"name": "run"}}, TOOL, {"type": "router:search"}]},
        {"tools": [TOOL]},
        ["tools.custom", "tools.router:search"],
    ),
    "a provider's tool among those that are allowed": (
        {
            "tools": [TOOL, {"type": "web_search"}],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "web_search"}, TOOL]},
            },
        },
        {"tools": [TOOL], "tool_choice": "auto"},
        ["tools.web_search"],
    ),
    "a tool without a type": ({"tools": [{"function": TOOL["function"]}]}, {"tools": [TOOL]}, []),
    "some of the tools": (
        {
            "tools": [TOOL, MANY[0]],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
        },
        {"tools": [TOOL], "tool_choice": "required"},
        [],
    ),
    "some of the tools as /v1/responses says it": (
        {
            "tools": [TOOL, MANY[0]],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}],
            },
        },
        {"tools": [TOOL], "tool_choice": "auto"},
        [],
    ),
    "a tool's name of 128 letters": (
        {"tools": [{"type": "function", "function": {"name": "m" * 128}}]},
        {"tools": [{"type": "function", "function": {"name": "m" * 128}}]},
        [],
    ),
    "a tool's nulls": (
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": None, "strict": None}}
            ]
        },
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        [],
    ),
    "llama.cpp's page": (
        {
            "reasoning_format": "auto",
            "return_progress": True,
            "xtc_probability": 0,
            "xtc_threshold": 0.1,
            "dry_multiplier": 0,
            "dry_base": 1.75,
            "dry_allowed_length": 2,
            "n_predict": -1,
            "typ_p": 1,
        },
        {},
        ["return_progress", "xtc_threshold", "dry_base", "dry_allowed_length"],
    ),
    "vLLM's clients": (
        {
            "use_beam_search": False,
            "stop_token_ids": [],
            "length_penalty": 1.0,
            "add_special_tokens": False,
        },
        {},
        ["add_special_tokens"],
    ),
    "Mistral's client": (
        {"safe_prompt": False, "random_seed": 5, "prompt_mode": "reasoning"},
        {"seed": 5},
        ["prompt_mode"],
    ),
    "OpenRouter's clients": (
        {"include_reasoning": True, "transforms": ["middle-out"], "plugins": []},
        {},
        ["transforms"],
    ),
    "unknown but null": ({"context_management": None, "whatever": None}, {}, []),
    "usage all along": (
        {"stream": True, "stream_options": {"continuous_usage_stats": True}},
        {},
        [],
    ),
    "an object with a schema": (
        {"response_format": {"type": "json_object", "schema": {"type": "object"}}},
        {"response_format": named("answer", {"type": "object"})},
        [],
    ),
    "a schema beside its type": (
        {"response_format": {"type": "json_schema", "schema": {"type": "object"}}},
        {"response_format": named("answer", {"type": "object"})},
        [],
    ),
    "a schema's name with blanks": (
        {"response_format": named("My answer, v2", {})},
        {"response_format": named("My_answer_v2", {})},
        [],
    ),
    "a pattern that looks ahead": (
        {"response_format": named("s", SCHEMA)},
        {"response_format": named("s", SCHEMA)},
        ["response_format.pattern"],
    ),
    "knowledge by the model's name": ({"model": "sam+knowledge"}, {"knowledge": 4}, []),
    "knowledge of its own": (
        {"model": "sam+knowledge", "knowledge": {"k": 2}},
        {"knowledge": 2},
        [],
    ),
    "no knowledge after all": ({"model": "sam+knowledge", "knowledge": False}, {}, []),
    "nulls": (
        {"temperature": None, "logit_bias": None, "functions": None, "n": None, "stop": None},
        {},
        [],
    ),
    "what is off anyway": (
        {"n": 1, "logprobs": False, "top_logprobs": 0, "logit_bias": {}, "echo": False},
        {},
        [],
    ),
}


@pytest.mark.parametrize(("more", "read", "ignored"), TAKEN.values(), ids=TAKEN)
def test_fields_are_taken_as_they_are_meant(
    more: dict[str, Any], read: dict[str, Any], ignored: list[str]
) -> None:
    asked = chat_request({**CHAT, **more})

    question = to_builtins(asked.question)
    assert question.pop("messages") == [ASK]
    assert question.pop("max_tokens") == 0
    assert question == read
    assert asked.model == "sam"
    assert list(asked.ignored) == ignored


def test_the_older_door_takes_the_same() -> None:
    more = {"max_tokens": -1, "top_k": -1, "repetition_penalty": 1.1, "cache_prompt": True}

    asked = completion_request({"model": "sam", "prompt": "Once", **more})

    assert (asked.question.top_k, asked.question.repeat_penalty) == (0, 1.1)
    assert asked.ignored == ("cache_prompt",)


@pytest.mark.parametrize(
    ("more", "limit"), [({}, 16), ({"max_tokens": -1}, 0), ({"n_predict": -2}, 0)]
)
def test_a_text_that_shall_have_no_limit_has_none(more: dict[str, Any], limit: int) -> None:
    asked = completion_request({"model": "sam", "prompt": "Once", **more})

    assert asked.question.max_tokens == limit


@pytest.mark.parametrize("role", ["model", "System"])
def test_a_role_that_is_not_known_is_told_the_others(role: str) -> None:
    with pytest.raises(RefusedError, match="it must be one of system, developer, user") as caught:
        chat_request({**CHAT, "messages": [{"role": role, "content": "Hi"}]})

    assert caught.value.param == "messages[0].role"


def test_a_misspelt_field_is_still_refused_by_its_name() -> None:
    with pytest.raises(RefusedError) as caught:
        chat_request({**CHAT, "max_token": 5})

    assert (caught.value.param, caught.value.code) == ("max_token", "unknown_parameter")


@pytest.mark.parametrize("schema", ["x", 7, [1]])
def test_what_is_no_schema_is_refused_not_stumbled_over(schema: Any) -> None:
    body = {**CHAT, "response_format": {"type": "json_object", "schema": schema}}

    with pytest.raises(RefusedError) as caught:
        chat_request(body)

    assert caught.value.param == "response_format"
