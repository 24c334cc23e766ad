"""Conversations that were begun with another provider: what its servers and its programs did is in them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.json import encode

from engines.services.answers.messages import EndEvent, Event, ToolCallEvent
from migrations_app.compatible_api.anthropic_requests import messages_request
from migrations_app.compatible_api.responses_answers import ResponsesFace
from migrations_app.openai_api.errors import RefusedError
from migrations_app.openai_api.requests import AskedText, Body
from migrations_app.openai_api.responses import Opening, whole_answer
from tests.compatible_api.test_bodies import ANTHROPIC, READERS, RESPONSES, played, streamed

ASK = {"role": "user", "content": "Hi"}
SAID = {"type": "text", "text": "Rain."}
SERVED: list[Any] = [
    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "Graz"}},
    {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"encrypted_content": "x"}]},
]  # fmt: skip
SEARCHED = {"type": "web_search_call", "id": "w1", "status": "completed", "action": {}}
ANSWERED = {"role": "assistant", "content": [{"type": "output_text", "text": "Rain."}]}
responses_request = READERS[1][1]


def contents(asked: AskedText) -> list[str]:
    return [message["content"] for message in asked.question.messages or []]


def messages(*turns: Any) -> dict[str, Any]:
    return {"model": "sam", "max_tokens": 9, "messages": [*turns]}


def test_what_anthropics_servers_did_is_left_out_and_named() -> None:
    asked = messages_request(messages(ASK, {"role": "assistant", "content": [*SERVED, SAID]}, ASK))

    assert contents(asked) == ["Hi", "Rain.", "Hi"]
    assert asked.ignored == ("messages.server_tool_use", "messages.web_search_tool_result")


def test_what_openais_servers_did_is_left_out_and_named() -> None:
    asked = responses_request({"model": "sam", "input": [ASK, SEARCHED, ANSWERED, ASK]})

    assert contents(asked) == ["Hi", "Rain.", "Hi"]
    assert asked.ignored == ("input.web_search_call",)


CALLS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin"}, "apply_patch", {"input": "*** Begin"}),
    ({"type": "local_shell_call", "id": "l", "status": "completed", "action": {"command": ["ls"]}}, "local_shell", {"action": {"command": ["ls"]}}),
    ({"type": "function_call", "name": "weather", "arguments": '{"city": "Graz"}'}, "weather", {"city": "Graz"}),
]  # fmt: skip


@pytest.mark.parametrize(("call", "name", "arguments"), CALLS)
def test_what_the_client_did_itself_is_a_call_with_its_result(
    call: dict[str, Any], name: str, arguments: dict[str, Any]
) -> None:
    result = {"type": f"{call['type']}_output", "call_id": "c1", "output": "Done."}
    asked = responses_request({"model": "sam", "input": [ASK, {**call, "call_id": "c1"}, result]})

    _, called, answered = asked.question.messages or []
    (function,) = (one["function"] for one in called["tool_calls"])
    assert (function["name"], json.loads(function["arguments"])) == (name, arguments)
    assert (answered["tool_call_id"], answered["content"]) == ("c1", "Done.")


def test_a_summary_and_the_context_of_a_document_are_read() -> None:
    summary = {"type": "compaction", "content": "They spoke of Graz."}
    paper = {"type": "document", "title": "Graz", "context": "Of 2026.", "source": {"type": "text", "data": "Rain."}}  # fmt: skip
    found = {"type": "tool_reference", "tool_name": "weather"}
    use = {"type": "tool_use", "id": "t1", "name": "find", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [found]}
    asked = messages_request(
        messages(
            {"role": "user", "content": [summary, paper]},
            {"role": "assistant", "content": [summary, use]},
            {"role": "user", "content": [result]},
        )
    )

    assert contents(asked) == [
        "They spoke of Graz.\nGraz\n\nOf 2026.\n\nRain.",
        "They spoke of Graz.",
        "weather",
    ]


OF_PROVIDERS: list[tuple[dict[str, Any], Callable[[Body], AskedText], str]] = [
    ({**RESPONSES, "tools": [*RESPONSES["tools"], {"type": "web_search_preview_2025_03_11"}]}, responses_request, "tools.web_search_preview"),
    ({**RESPONSES, "tools": [*RESPONSES["tools"], {"type": "programmatic_tool_calling"}]}, responses_request, "tools.programmatic_tool_calling"),
    ({**ANTHROPIC, "tools": [*ANTHROPIC["tools"], {"type": "advisor_20260301", "name": "advisor"}]}, messages_request, "tools.advisor"),
    ({**ANTHROPIC, "tools": [*ANTHROPIC["tools"], {"type": "mcp_toolset", "mcp_server_name": "m"}]}, messages_request, "tools.mcp_toolset"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "read", "named"), OF_PROVIDERS)
def test_kinds_of_tools_need_not_be_known_to_be_left_out(
    body: dict[str, Any], read: Callable[[Body], AskedText], named: str
) -> None:
    asked = read(body)

    assert [tool["function"]["name"] for tool in asked.question.tools or []] == ["weather"]
    assert named in asked.ignored


STRANGE: list[tuple[dict[str, Any], Callable[[Body], AskedText], str]] = [
    ({**RESPONSES, "tools": [*RESPONSES["tools"], {"type": "a\r\nb: c"}]}, responses_request, "tools[1]"),
    ({**ANTHROPIC, "tools": [{"type": "x" * 99, "name": "x"}, *ANTHROPIC["tools"]]}, messages_request, "tools[0]"),
    (messages(ASK, {"role": "assistant", "content": [{"type": "a\nb_tool_result"}]}), messages_request, "messages[1].content[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "read", "place"), STRANGE)
def test_what_no_header_could_name_is_refused(
    body: dict[str, Any], read: Callable[[Body], AskedText], place: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        read(body)

    assert refused.value.param == place


def test_a_choice_among_tools_leaves_out_what_the_tools_leave_out() -> None:
    search = {"type": "web_search"}
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [search, {"type": "function", "name": "weather"}]}  # fmt: skip
    asked = responses_request(
        {**RESPONSES, "tools": [search, *RESPONSES["tools"]], "tool_choice": allowed}
    )

    assert asked.question.tool_choice == "auto"


def test_a_function_of_a_namespace_is_called_by_both_names_and_named_by_both() -> None:
    weather = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    named = {"name": "weather", "namespace": "graz", "arguments": "{}"}
    face = ResponsesFace()
    asked = face.read(
        {
            "model": "sam",
            "input": [
                {"role": "user", "content": "Hi"},
                {"type": "function_call", "call_id": "c1", **named},
                {"type": "function_call_output", "call_id": "c1", "output": "Rain."},
            ],
            "tools": [weather, {"type": "namespace", "name": "graz", "tools": [weather]}],
        }
    )
    calls: list[Event] = [
        ToolCallEvent(index=0, id="c1", name="graz__weather", arguments="{}"),
        ToolCallEvent(index=1, id="c2", name="weather", arguments="{}"),
        EndEvent("tool_calls", 5, 9, 0),
    ]
    events = streamed(face, played(calls))
    whole = asyncio.run(whole_answer(face, Opening("tiny", 3), played(calls)))

    offered = [tool["function"]["name"] for tool in asked.question.tools or []]
    (made,) = (asked.question.messages or [])[1]["tool_calls"]
    assert (offered, made["function"]["name"]) == (["weather", "graz__weather"], "graz__weather")
    shown = [(item["name"], item.get("namespace")) for item in events[-1]["response"]["output"]]
    assert shown == [("weather", "graz"), ("weather", None)]
    assert json.loads(encode(whole))["output"][0]["namespace"] == "graz"
    done = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert [event["name"] for event in done] == ["weather"] * 2
