"""Values that programs write where they have nothing to say, or say it as another server takes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import to_builtins

from migrations_app.compatible_api.ollama_requests import ollama_chat, ollama_prompt
from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import AskedText, Body, chat_request, completion_request
from tests.compatible_api.test_bodies import READERS

ASK = {"role": "user", "content": "Hi"}
CHAT = {"model": "sam", "messages": [ASK]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object"}},
}
NAMED = {"type": "function", "function": {"name": "f"}}
OBJECT = {"type": "object"}
RANDOM: list[tuple[Callable[[Body], AskedText], dict[str, Any]]] = [
    (chat_request, CHAT),
    (completion_request, {"model": "sam", "prompt": "Once"}),
    (READERS[1][1], {"model": "sam", "input": "Hi"}),
]


@pytest.mark.parametrize("seed", [-1, 0xFFFFFFFF])
@pytest.mark.parametrize(("read", "body"), RANDOM)
def test_a_seed_that_means_none_elsewhere_draws_a_fresh_one(
    read: Callable[[Body], AskedText], body: dict[str, Any], seed: int
) -> None:
    several = {"n": 2} if "input" not in body else {}
    asked = read({**body, "seed": seed, **several})

    assert {one.seed for one in (asked.question, *asked.others)} == {None}


@pytest.mark.parametrize("seed", [-1, 0xFFFFFFFF])
def test_so_it_is_at_ollamas_doors(seed: int) -> None:
    options = {"options": {"seed": seed}}

    assert ollama_chat({**CHAT, **options}).question.seed is None
    assert ollama_prompt({"model": "sam", "prompt": "Hi", "raw": True, **options}).question.seed is None  # fmt: skip


def schema(**more: Any) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": OBJECT, **more},
    }


TAKEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a format's nulls": (
        {"response_format": {"type": "json_object", "schema": None, "json_schema": None}},
        {"response_format": {"type": "json_object"}},
    ),
    "plain text with nulls": ({"response_format": {"type": "text", "json_schema": None}}, {}),
    "a schema's nulls": (
        {"response_format": {"type": "json_schema", "schema": None, "json_schema": {
            "name": None, "description": None, "strict": None, "schema": OBJECT}}},
        {"response_format": schema()},
    ),
    "a format as /v1/responses takes it": (
        {"response_format": {"type": "json_schema", "name": "My answer", "strict": True, "schema": OBJECT}},
        {"response_format": schema(name="My_answer", strict=True)},
    ),
    "nulls of a tool, also of what nobody knows": (
        {"tools": [{**TOOL, "strict": None, "function": {**TOOL["function"], "returns": None}}]},
        {"tools": [TOOL]},
    ),
    "nulls of options that are objects": (
        {"reasoning": {"effort": "low", "generate_summary": None}, "chat_template_kwargs": {"documents": None},
         "stream": True, "stream_options": {"include_usage": None, "other": None}},
        {"effort": "low"},
    ),
    "PHP's object without anything in it": (
        {"tools": [{**TOOL, "function": {"name": "f", "parameters": {**OBJECT, "properties": []}}}]},
        {"tools": [{**TOOL, "function": {"name": "f", "parameters": {**OBJECT, "properties": {}}}}]},
    ),
    "a choice of tools as an object": (
        {"tools": [TOOL], "tool_choice": {"type": "auto"}}, {"tools": [TOOL], "tool_choice": "auto"},
    ),
    "any tool as an object": (
        {"tools": [TOOL], "tool_choice": {"type": "any"}}, {"tools": [TOOL], "tool_choice": "required"},
    ),
    "one tool as Anthropic names it": (
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}}, {"tools": [TOOL], "tool_choice": NAMED},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("more", "read"), TAKEN.values(), ids=TAKEN)
def test_odd_values_are_taken_as_they_are_meant(more: dict[str, Any], read: dict[str, Any]) -> None:
    question = to_builtins(chat_request({**CHAT, **more}).question)

    assert {**question, "messages": 0, "max_tokens": 0} == {**read, "messages": 0, "max_tokens": 0}


def history(call: dict[str, Any], **result: Any) -> dict[str, Any]:
    turns = [ASK, {"role": "assistant", "content": None, "tool_calls": [{"id": "1", **call}]}]
    return {**CHAT, "messages": [*turns, {"role": "tool", "tool_call_id": "1", **result}]}


@pytest.mark.parametrize(
    ("given", "read"),
    [("functions.f", "functions_f"), ("get it", "get_it"), ("", "_"), ("f" * 200, "f" * 128)],
)
def test_a_call_of_what_no_tool_is_called_stays_in_the_conversation(given: str, read: str) -> None:
    asked = chat_request(history({"function": {"name": given, "arguments": "{}"}}, content="x"))

    (call,) = (asked.question.messages or [])[1]["tool_calls"]
    assert call["function"]["name"] == read


def test_a_call_of_a_tool_that_takes_a_text_is_one_of_a_function() -> None:
    asked = chat_request(
        history({"type": "custom", "custom": {"name": "run", "input": "ls"}}, content="x")
    )

    (call,) = (asked.question.messages or [])[1]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("run", {"input": "ls"})  # fmt: skip


def test_texts_may_stand_among_the_parts_of_a_message() -> None:
    asked = chat_request({**CHAT, "messages": [{"role": "user", "content": ["a", {"type": "text", "text": "b"}]}]})  # fmt: skip

    assert asked.question.messages == [{"role": "user", "content": "a\nb"}]


def test_a_result_may_be_left_out_where_it_is_empty() -> None:
    asked = chat_request(history({"function": {"name": "f", "arguments": "{}"}}))

    assert (asked.question.messages or [])[2]["content"] == ""


def test_what_other_servers_take_of_memory_and_drafts_changes_nothing_and_is_named() -> None:
    hints = {"repeat_last_n": 64, "ttl": 300, "draft_model": "small"}
    asked = chat_request({**CHAT, **hints, "continue_final_message": False})

    assert set(asked.ignored) == set(hints)


MISTAKEN: list[tuple[Callable[[Body], object], dict[str, Any], str, str]] = [
    (chat_request, {"model": "sam", "include": [], "input": "Hi"}, "input", "it is what /v1/responses"),
    (chat_request, {**CHAT, "extra_body": {}}, "extra_body", "send what it holds beside"),
    (completion_request, CHAT, "messages", "they are what /v1/chat/completions"),
    (READERS[1][1], {**CHAT, "max_tokens": 5, "user": "x"}, "max_tokens", "/v1/responses calls it max_output_tokens"),
    (READERS[1][1], {"model": "sam", "input": "Hi", "respond_format": {}}, "respond_format", "leave it out"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "body", "name", "instead"), MISTAKEN)
def test_a_field_of_another_door_is_told_where_it_belongs(
    read: Callable[[Body], object], body: dict[str, Any], name: str, instead: str
) -> None:
    with pytest.raises(RefusedError, match=f"^There is no field '{name}' here; {instead}") as refused:  # fmt: skip
        read(body)

    assert (refused.value.param, refused.value.code) == (name, "unknown_parameter")


def test_chances_of_tokens_are_refused_in_words() -> None:
    with pytest.raises(RefusedError, match=r"^top_logprobs cannot be told here; leave it out\.$"):
        READERS[1][1]({"model": "sam", "input": "Hi", "top_logprobs": 5})
