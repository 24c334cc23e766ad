"""Histories that agents send back: calls, what they gave, and what no program could read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engines.runtimes.base import ChatMessage
from migrations_app.compatible_api.anthropic_requests import messages_request
from migrations_app.compatible_api.ollama_requests import ollama_chat, ollama_texts
from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import AskedText, Body
from tests.compatible_api.test_bodies import READERS

ASK = {"role": "user", "content": "Hi"}
SHELL = {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"]}}
CHUNK = {"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
responses_request = READERS[1][1]


def items(*given: Any) -> list[ChatMessage]:
    return responses_request({"model": "sam", "input": [ASK, *given]}).question.messages or []


RESULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a local shell by its item": (
        {**SHELL, "id": "l1", "call_id": "c1"}, {"type": "local_shell_call_output", "id": "l1", "output": "a"}, "a",
    ),
    "a local shell by its call": (
        {**SHELL, "id": "l1", "call_id": "c1"}, {"type": "local_shell_call_output", "id": "c1", "output": "a"}, "a",
    ),
    "a local shell without the id of a call": (
        {**SHELL, "id": "l1", "call_id": None}, {"type": "function_call_output", "call_id": "l1", "output": "a"}, "a",
    ),
    "a shell, command by command": (
        {"type": "shell_call", "id": "s1", "call_id": "c1", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "c1", "output": [CHUNK]},
        json.dumps([CHUNK]),
    ),
    "a patch that says only how it went": (
        {"type": "apply_patch_call", "call_id": "c1", "operation": {"type": "delete_file", "path": "a"}},
        {"type": "apply_patch_call_output", "call_id": "c1", "status": "failed"},
        "failed",
    ),
    "a function by its item": (
        {"type": "function_call", "id": "fc1", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "fc1", "output": "a"},
        "a",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "result", "read"), RESULTS.values(), ids=RESULTS)
def test_what_a_client_did_itself_finds_its_call(
    call: dict[str, Any], result: dict[str, Any], read: str
) -> None:
    _, called, answered = items(call, result)

    assert answered["tool_call_id"] == called["tool_calls"][0]["id"]
    assert answered["content"] == read


@pytest.mark.parametrize("given", [7, [], {"a": 1}])
def test_an_item_may_have_anything_for_an_id_where_its_call_has_one(given: Any) -> None:
    result = {"type": "local_shell_call_output", "call_id": "c1", "output": "a"}

    assert items({**SHELL, "id": given, "call_id": "c1"}, result)[2]["tool_call_id"] == "c1"


@pytest.mark.parametrize("ids", [{}, {"id": None}, {"id": "", "call_id": ""}])
def test_a_call_without_any_id_is_refused_by_the_one_it_needs(ids: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as refused:
        items({**SHELL, **ids})

    assert refused.value.param == "input[1].call_id"


def anthropic(given: Any) -> dict[str, Any]:
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": given}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}
    turns = [ASK, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    return {"model": "sam", "max_tokens": 9, "messages": turns}


def ollama(given: Any) -> dict[str, Any]:
    call = {"function": {"name": "f", "arguments": given}}
    turns = [ASK, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "x"}]
    return {"model": "sam", "messages": turns}


def responses(given: Any) -> dict[str, Any]:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": given}
    result = {"type": "function_call_output", "call_id": "c1", "output": "x"}
    return {"model": "sam", "input": [ASK, call, result]}


DOORS: list[tuple[Callable[[Any], dict[str, Any]], Callable[[Body], AskedText]]] = [
    (anthropic, messages_request),
    (ollama, ollama_chat),
    (responses, responses_request),
]
ARGUMENTS: list[tuple[Any, dict[str, Any]]] = [
    (None, {}),
    ("", {}),
    ([], {}),
    ({"a": 1}, {"a": 1}),
    ('{"a": 1}', {"a": 1}),
    ('{"a": "cut o', {"arguments": '{"a": "cut o'}),
    ([1], {"arguments": "[1]"}),
]


@pytest.mark.parametrize(("given", "read"), ARGUMENTS)
@pytest.mark.parametrize(("body", "read_body"), DOORS, ids=["anthropic", "ollama", "responses"])
def test_arguments_are_an_object_at_every_door_whatever_was_written(
    body: Callable[[Any], dict[str, Any]],
    read_body: Callable[[Body], AskedText],
    given: Any,
    read: dict[str, Any],
) -> None:
    called = (read_body(body(given)).question.messages or [])[1]

    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == read


def test_options_of_ollamas_that_are_null_are_left_out_untold() -> None:
    options = {"num_ctx": None, "num_gpu": 1, "temperature": None}
    asked = ollama_chat({"model": "sam", "messages": [ASK], "options": options})

    assert asked.ignored == ("options.num_gpu",)


def test_no_dimensions_are_all_of_them_at_ollamas_doors() -> None:
    assert ollama_texts({"model": "sam", "input": "Hi", "dimensions": 0}).dimensions is None
