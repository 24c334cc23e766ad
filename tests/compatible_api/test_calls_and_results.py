"""Calls and their results as programs keep them: with ids, with empty ones, with none."""

from __future__ import annotations

from typing import Any

import pytest

from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import chat_request

ASK = {"role": "user", "content": "Hi"}
CHAT = {"model": "sam", "messages": [ASK]}


def assistant(**more: Any) -> dict[str, Any]:
    return {"role": "assistant", **more}


LONE = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
OTHER = {"type": "function", "function": {"name": "g", "arguments": "{}"}}
CALLS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], list[int]]] = {
    "ids": ([{**LONE, "id": "b"}, {**LONE, "id": "a"}], [{"tool_call_id": "a"}, {"tool_call_id": "b"}], [1, 0]),
    "no ids": ([LONE, LONE], [{}, {}], [0, 1]),
    "empty ids": ([{**LONE, "id": ""}, {**LONE, "id": ""}], [{"tool_call_id": ""}, {"tool_call_id": ""}], [0, 1]),
    "names": ([LONE, OTHER], [{"name": "g"}, {"name": "f"}], [1, 0]),
    "ids of some": ([{**LONE, "id": "a"}, LONE], [{"tool_call_id": "a"}, {"name": "f"}], [0, 1]),
}  # fmt: skip


@pytest.mark.parametrize(("calls", "results", "answered"), CALLS.values(), ids=CALLS)
def test_results_find_their_calls_with_ids_or_without(
    calls: list[dict[str, Any]], results: list[dict[str, Any]], answered: list[int]
) -> None:
    turns = [assistant(tool_calls=calls), *({"role": "tool", "content": "x", **r} for r in results)]

    messages = chat_request({**CHAT, "messages": [ASK, *turns]}).question.messages or []

    ids = [call["id"] for call in messages[1]["tool_calls"]]
    assert len(set(ids)) == len(calls)
    assert [ids.index(result["tool_call_id"]) for result in messages[2:]] == answered


@pytest.mark.parametrize("results", [[{}], [{"name": "g"}], [{"name": "f"}] * 2])
def test_a_result_without_a_call_is_refused_by_its_place(results: list[dict[str, Any]]) -> None:
    turns = [
        assistant(tool_calls=[LONE]),
        *({"role": "tool", "content": "x", **r} for r in results),
    ]
    turns = turns[1:] if results == [{}] else turns

    with pytest.raises(RefusedError, match="must be the result of a call") as caught:
        chat_request({**CHAT, "messages": [ASK, *turns]})

    assert caught.value.param == f"messages[{len(turns)}].tool_call_id"


def test_calls_and_results_of_functions_before_there_were_tools_are_read() -> None:
    def call(name: str) -> dict[str, Any]:
        return assistant(content=None, function_call={"name": name, "arguments": '{"a": 1}'})

    def result(name: str) -> dict[str, Any]:
        return {"role": "function", "name": name, "content": f"of {name}"}

    turns = [ASK, call("f"), result("f"), call("f"), call("g"), result("g"), result("f"), ASK]

    messages = chat_request({**CHAT, "messages": turns}).question.messages or []

    made = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    answered = [one["tool_call_id"] for one in messages if one["role"] == "tool"]
    assert len(set(made)) == 3
    assert answered == [made[0], made[2], made[1]]
    assert messages[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert messages[2]["content"] == "of f"
