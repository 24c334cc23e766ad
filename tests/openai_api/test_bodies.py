"""What a client may send: the fields one by one, without any server."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory
from msgspec import to_builtins

from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import (
    chat_request,
    completion_request,
    embedding_request,
    read_body,
)
from migrations_app.serving.protocol import STREAM

MESSAGES = [{"role": "user", "content": "Hi"}]
CHAT = {"model": "sam", "messages": MESSAGES}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def named(name: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def allowed(*tools: Any, mode: str = "auto") -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [*tools]}}


def schema_format(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, **more}}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


TOOL = tool("f", description="Does it.", parameters={"type": "object"}, strict=True)
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OLD_CALL = {"function_call": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": MESSAGES * 2001}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [*MESSAGES, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
        (
            {"messages": [*MESSAGES, {"role": "tool", "content": "x", "tool_call_id": "1"}]},
            "messages[1].tool_call_id",
        ),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content",
        ),
        (
            {"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}]},
            "messages[0].tool_calls",
        ),
        (
            {"messages": [{"role": "user", "content": "", "tool_calls": [CALL]}]},
            "messages[0].tool_calls",
        ),
        ({"messages": [{"role": "assistant"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": ["text"]}]}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": "x"}]}]},
            "messages[0].content",
        ),
        ({"reasoning": {"efort": "low"}}, "reasoning"),
        ({"think": "a lot"}, "think"),
        ({"enable_thinking": "no"}, "enable_thinking"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"max_tokens": -3}, "max_tokens"),
        ({"top_k": -2}, "top_k"),
        ({"chat_template_kwargs": {"enable_thinkin": True}}, "chat_template_kwargs"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [CALL], **OLD_CALL}]},
            "messages[0].function_call",
        ),
        ({"messages": [{"role": "assistant", "function_call": "f"}]}, "messages[0].function_call"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"seed": 1.5}, "seed"),
        ({"stop": 7}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_completion_tokens": "many"}, "max_completion_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"else": 1}}, "stream_options"),
        ({"stream": True, "stream_options": [1]}, "stream_options"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": "two"}, "n"),
        ({"n": 2, "best_of": 2}, "best_of"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [TOOL, TOOL]}, "tools"),
        ({"tools": [tool("f")] * 129}, "tools"),
        ({"tools": [tool("no spaces")]}, "tools"),
        ({"tools": [tool("f", parameters=[])]}, "tools"),
        ({"tools": [tool("f", parameters={"x": "y" * 140_000})]}, "tools"),
        ({"tools": [tool(f"f{n}", description="y" * 60_000) for n in range(9)]}, "tools"),
        ({"tools": [tool("f", strict="yes")]}, "tools"),
        ({"tools": [tool("f", default=1)]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "sometimes", "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": named("other"), "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": named(7), "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "other"}, "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": allowed(named("f"), named("other")), "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": allowed(named("f"), mode="maybe"), "tools": [TOOL]}, "tool_choice"),
        ({"tool_choice": allowed(named("f"))}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}, "tools": [TOOL]}, "tool_choice"),
        ({"tools": [tool("f" * 129)]}, "tools"),
        ({"tools": [{"name": "f", "paramters": {}}]}, "tools"),
        ({"dry_multiplier": 0.8}, "dry_multiplier"),
        ({"include_reasoning": False}, "include_reasoning"),
        ({"parallel_tool_calls": "no", "tools": [TOOL]}, "parallel_tool_calls"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": schema_format(None)}, "response_format"),
        ({"response_format": schema_format({}, name="")}, "response_format"),
        ({"response_format": schema_format({}, strict=1)}, "response_format"),
        ({"response_format": schema_format(nested(65))}, "response_format"),
        ({"response_format": schema_format({"x": "y" * 140_000})}, "response_format"),
        ({"knowledge": {"k": 0}}, "knowledge"),
        ({"knowledge": {"k": 21}}, "knowledge"),
        ({"knowledge": {"of": "bob"}}, "knowledge"),
        ({"knowledge": "all"}, "knowledge"),
        ({"knowledge": {"bases": []}}, "knowledge"),
        ({"knowledge": {"min_score": 2}}, "knowledge"),
        ({"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": 7}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"enable_thinking": "no"}}, "chat_template_kwargs"),
        ({"temprature": 1}, "temprature"),
    ],
)
def test_a_chat_that_cannot_be_served_is_refused_by_field(more: dict[str, Any], param: str) -> None:
    with pytest.raises(RefusedError) as caught:
        chat_request({**CHAT, **more})

    assert (caught.value.param, caught.value.status) == (param, 400)
    assert str(caught.value).endswith(".")


def test_a_chat_becomes_what_the_worker_reads() -> None:
    asked = chat_request(
        {
            "model": "tiny",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "!"}]},
            ],
            "max_tokens": 9,
            "max_completion_tokens": 7,
            "temperature": 0,
            "top_k": 5,
            "seed": -2,
            "stop": "END",
            "stream": True,
            "stream_options": {"include_usage": True},
            "knowledge": {"k": 3},
            "user": "someone",
            "n": 1,
            "tools": None,
            "response_format": {"type": "text"},
        }
    )  # fmt: skip

    assert (asked.model, asked.stream, asked.include_usage) == ("tiny", True, True)
    assert to_builtins(asked.question) == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi\n!"},
        ],
        "max_tokens": 7,
        "temperature": 0,
        "top_k": 5,
        "seed": 0xFFFFFFFD,
        "stop": "END",
        "knowledge": 3,
    }


def test_calls_their_results_and_the_form_of_the_answer_reach_the_worker() -> None:
    turns = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": [{"type": "text", "text": "Rain."}], "tool_call_id": "1"},
    ]
    form: dict[str, Any] = {
        "response_format": schema_format({"type": "object"}, strict=True),
        "tools": [TOOL],
        "tool_choice": named("f"),
        "parallel_tool_calls": False,
    }

    payload = to_builtins(chat_request({**CHAT, **form, "messages": turns}).question)

    assert payload["messages"][1:] == [
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "Rain.", "tool_call_id": "1"},
    ]
    assert {name: payload[name] for name in form} == form


SWITCHES: list[tuple[dict[str, Any], str, bool | None]] = [
    ({"reasoning_effort": "high"}, "", None),
    ({"thinking": {"type": "auto"}}, "", None),
    ({"reasoning_effort": "minimal"}, "reasoning_effort", False),
    ({"reasoning": {"effort": "none"}}, "reasoning.effort", False),
    ({"reasoning": {"enabled": True}}, "reasoning.enabled", True),
    ({"think": False, "reasoning_effort": "none"}, "think", False),
    ({"think": "minimal"}, "think", False),
    ({"chat_template_kwargs": {"thinking": True}}, "chat_template_kwargs.thinking", True),
]


@pytest.mark.parametrize(("more", "name", "wanted"), SWITCHES)
def test_the_thinking_switch_is_passed_on(
    more: dict[str, Any], name: str, wanted: bool | None
) -> None:
    asked = chat_request({**CHAT, **more})

    assert (asked.switch, asked.question.thinking) == (name, wanted)


@pytest.mark.parametrize(("given", "k"), [(True, 4), ({}, 4), ({"k": 20}, 20)])
def test_knowledge_is_asked_for_with_or_without_a_number(given: Any, k: int) -> None:
    assert chat_request({**CHAT, "knowledge": given}).question.knowledge == k


def test_knowledge_may_be_narrowed() -> None:
    asked: dict[str, Any] = {"bases": [3], "updated_after": "2026-05-01T00:00:00Z"}

    payload = to_builtins(chat_request({**CHAT, "knowledge": {"k": 2, **asked}}).question)

    assert (payload["knowledge"], payload["knowledge_filter"]) == (2, asked)


@pytest.mark.parametrize("given", [None, False])
def test_knowledge_that_is_not_asked_for_is_not_used(given: Any) -> None:
    assert chat_request({**CHAT, "knowledge": given}).question.knowledge is None


PROMPTS: list[tuple[Any, str]] = [
    (None, "is missing"),
    ("", "must be a text"),
    ([], "must be a list"),
    ([""], "must be a text"),
    ([True], "must be a text"),
    (["a", ""], "must be a text"),
    (["a"] * 129, "must be a list"),
    (["a", 1], "holds numbers of tokens"),
    ([1, 2], "holds numbers of tokens"),
    ([[1, 2]], "holds numbers of tokens"),
    ([[1], [2]], "holds numbers of tokens"),
    (7, "must be a text"),
]


@pytest.mark.parametrize(("prompt", "why"), PROMPTS)
def test_a_completion_has_one_prompt(prompt: Any, why: str) -> None:
    with pytest.raises(RefusedError, match=why) as caught:
        completion_request({"model": "sam", "prompt": prompt})

    assert caught.value.param == "prompt"


def test_every_choice_is_a_question_of_its_own() -> None:
    body = {"model": "sam", "prompt": ["a", "b"], "n": 2}

    seeded = completion_request({**body, "seed": 2**32 - 2})
    free = completion_request(body)

    asked = [seeded.question, *seeded.others]
    assert [(one.prompt, one.seed) for one in asked] == [
        *(("a", 2**32 - 2), ("a", 0), ("b", 2**32 - 2), ("b", 0)),
    ]
    assert len({one.seed for one in (free.question, *free.others)}) == 1
    assert [one.prompt for one in free.others] == ["a", "b", "b"]
    assert chat_request({**CHAT, "n": 1}).others == ()


@pytest.mark.parametrize(
    "more",
    [
        *({"tools": [TOOL]}, {"echo": True}, {"best_of": 2}, {"suffix": "x"}, {"logprobs": 3}),
        *({"n": 43, "prompt": ["a", "b", "c"]}, {"model": "sam+knowledge"}),
    ],
)
def test_a_completion_that_cannot_be_served_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as caught:
        completion_request({"model": "sam", "prompt": "Once", **more})

    assert caught.value.param == next(iter(more))


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", []]}, "input[1]"),
        ({"input": [[9906], ["a"]]}, "input[1]"),
        ({"input": [[9906], [True]]}, "input[1]"),
        ({"input": [[9906], [-1]]}, "input[1]"),
        ({"input": [9906, 1917, "a"]}, "input"),
        ({"input": [9906, 100_257]}, "input"),
        ({"input": [[2**70]]}, "input[0]"),
        ({"dimensions": 0}, "dimensions"),
        ({"input": ["a"] * 2049}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"encoding_format": ["float"]}, "encoding_format"),
        ({"dimensions": "few"}, "dimensions"),
        ({"input_type": "clustering"}, "input_type"),
        ({"input_type": ["query"]}, "input_type"),
        ({"model": "sam+knowledge"}, "model"),
        ({"dimensions": -1}, "dimensions"),
        ({"input": ["a", None]}, "input"),
        ({"input": ["a", {"text": "b"}]}, "input"),
        ({"temperature": 1}, "temperature"),
    ],
)
def test_texts_that_cannot_be_embedded_are_refused_by_field(
    more: dict[str, Any], param: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        embedding_request({"model": "sam", "input": "a", **more})

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ([9906, 1917], ["Hello world"]),
        ([[9906], [57668, 53901], [5297, 718, 220, 57668]], ["Hello", "你好", "ürich 你"]),
        (["a", [9906]], ["a", "Hello"]),
        # Cut by tokens within a character, as clients cut long texts.
        ([[9906, 160, 121], [254, 9906]], ["Hello\ufffd", "\ufffdHello"]),
    ],
)
def test_tokens_of_openai_are_read_as_their_texts(given: list[Any], texts: list[str]) -> None:
    assert embedding_request({"model": "sam", "input": given}).texts == texts


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"temperature": NaN}', b"[" * 100_000]
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    request = RequestFactory().post("/v1/x", body, content_type="application/json")

    with pytest.raises(RefusedError, match="body"):
        read_body(request)


@pytest.mark.parametrize("half", [b"\\ud83d", b"\xed\xa0\xbd"])
def test_half_a_character_is_replaced_as_no_engine_can_read_it(half: bytes) -> None:
    whole = b"\\ud83d\\ude00" if half.startswith(b"\\") else b"\xed\xa0\xbd\xed\xb8\x80"
    said = b"a" + half + b" b" + whole
    body = b'{"model": "sam", "messages": [{"role": "user", "content": "' + said + b'"}]}'
    request = RequestFactory().post("/v1/x", body, content_type="application/json")

    asked = chat_request(read_body(request))

    assert asked.question.messages == [{"role": "user", "content": "a\ufffd b\U0001f600"}]
    assert STREAM.request_body(asked.requests_of(1, None)[0])
