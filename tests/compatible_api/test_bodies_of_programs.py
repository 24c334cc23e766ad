"""Bodies of other protocols as real programs send them: each is read as it is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from migrations_app.compatible_api.anthropic_requests import messages_request
from migrations_app.compatible_api.ollama_requests import ollama_chat
from migrations_app.openai_api.requests import AskedText, Body
from tests.compatible_api.test_bodies import ANTHROPIC, OLLAMA, READERS, RESPONSES, TOOL


def anthropic_result(*blocks: Any) -> dict[str, Any]:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [*blocks], "is_error": True}
    turns = [*ANTHROPIC["messages"][:2], {"role": "user", "content": [result]}]
    return {**ANTHROPIC, "messages": turns}


def responses_input(*items: Any, **more: Any) -> dict[str, Any]:
    return {"model": "sam", "input": [*items, {"role": "user", "content": "And?"}], **more}


SAID = {"type": "text", "text": "Rain."}
HIT = {"type": "search_result", "source": "graz.txt", "title": "Graz", "content": [SAID]}
PAPER = {"type": "document", "title": "Graz", "source": {"type": "text", "data": "Rain."}}
PARTS = {"type": "document", "source": {"type": "content", "content": [SAID, SAID]}}
WRITTEN: list[tuple[dict[str, Any], Callable[[Body], AskedText], list[str]]] = [
    (anthropic_result(SAID, HIT), messages_request, ["Rain.\nGraz\n\ngraz.txt\n\nRain."]),
    (anthropic_result(PAPER), messages_request, ["Graz\n\nRain."]),
    (anthropic_result(), messages_request, [""]),
    ({"model": "sam", "messages": [{"role": "user", "content": [HIT, PARTS]}]}, messages_request,
     ["Graz\n\ngraz.txt\n\nRain.\nRain.\nRain."]),
    (responses_input({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}),
     READERS[1][1], ["No.", "And?"]),
    (responses_input(tools=[{"type": "function", "function": TOOL}], tool_choice={"type": "function", "name": "weather"},
     frequency_penalty=0, context_management=[], client_metadata={}, previous_response_id="", moderation=None),
     READERS[1][1], ["And?"]),
    (responses_input(tools=RESPONSES["tools"], tool_choice={
        "type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}]}),
     READERS[1][1], ["And?"]),
    ({**OLLAMA, "options": {"mirostat": 0, "mirostat_tau": 0.8, "num_gqa": 8, "num_predict": -1}}, ollama_chat, ["And?"]),
    ({**OLLAMA, "options": {"num_predict": 16.0, "top_k": 40.0, "seed": 1.0}}, ollama_chat, ["And?"]),
    ({**OLLAMA, "messages": [*OLLAMA["messages"][:2], {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": None}}]},
      *OLLAMA["messages"][3:]]}, ollama_chat, ["And?"]),
    ({**OLLAMA, "options": {"stop": [], "top_p": None}, "format": "", "logprobs": False}, ollama_chat, ["And?"]),
]  # fmt: skip


SEARCH = {"type": "web_search", "external_web_access": False}
PATCH = {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}}
DATED = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
MIXED = [
    ({**RESPONSES, "tools": [SEARCH, *RESPONSES["tools"], PATCH]}, READERS[1][1], ["tools.custom", "tools.web_search"]),
    ({**ANTHROPIC, "tools": [DATED, *ANTHROPIC["tools"]]}, messages_request, ["tools.web_search"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "read", "named"), MIXED)
def test_tools_of_a_providers_servers_are_left_out_beside_others_and_named(
    body: dict[str, Any], read: Callable[[Body], AskedText], named: list[str]
) -> None:
    asked = read(body)

    assert [tool["function"]["name"] for tool in asked.question.tools or []] == ["weather"]
    assert list(asked.ignored)[-len(named) :] == named


@pytest.mark.parametrize(("body", "read", "last"), WRITTEN)
def test_bodies_of_programs_are_read_as_they_are_meant(
    body: dict[str, Any], read: Callable[[Body], AskedText], last: list[str]
) -> None:
    messages = read(body).question.messages or []

    assert [message["content"] for message in messages][-len(last) :] == last
