"""What a model is told of tools: by its own template where that describes them, else in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage, MessageToolCall
from engines.runtimes.notation.families import FAMILIES, UNKNOWN, Family, family_of
from engines.runtimes.templates.conversations import ConversationRenderer
from engines.runtimes.text.response_format import Json

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL: MessageToolCall = {
    "id": "a1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"d": 2}'},
}
CHAT: list[ChatMessage] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Rain?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "Yes.", "tool_call_id": "a1"},
]


Render = Callable[[Sequence[Any], Sequence[Json] | None], str]


def as_json(messages: Sequence[ChatMessage], tools: Sequence[Json] | None) -> str:
    return json.dumps({"messages": list(messages), "tools": list(tools or ())})


def without_tools(messages: Sequence[ChatMessage], tools: Sequence[Json] | None) -> str:
    if tools or any(message["role"] == "tool" for message in messages):
        raise InvalidRequestError("no tools")
    return as_json(messages, tools)


def rendered(
    render: Render,
    messages: Sequence[ChatMessage],
    tools: Sequence[Json],
    family: Family,
    *,
    has_tools: bool,
) -> str:
    """What a template of a family gives; ``has_tools`` says that it describes tools."""
    renderer = ConversationRenderer(
        lambda messages, tools, _variables: render(messages, tools),
        family.calls,
        takes_tools=has_tools and family.knows_tools,
    )
    return renderer.render(messages, tools, {})


def test_a_template_that_describes_tools_gets_them_and_arguments_as_objects() -> None:
    given = json.loads(rendered(as_json, CHAT, [TOOL], FAMILIES["qwen"], has_tools=True))

    assert given["tools"] == [TOOL]
    assert given["messages"][2]["tool_calls"][0]["function"]["arguments"] == {"d": 2}
    assert given["messages"][3] == {**CHAT[3], "name": "weather"}


@pytest.mark.parametrize(
    ("name", "has_tools", "opened"),
    [
        ("qwen3", False, '<tool_call>\n{"name": "weather", "arguments": {"d": 2}}\n</tool_call>'),
        ("llama", False, '{"name": "weather", "parameters": {"d": 2}}'),
        ("mistral", False, '[TOOL_CALLS][{"name": "weather", "arguments": {"d": 2}}]'),
        ("deepseek", True, '<tool_call>\n{"name": "weather", "arguments": {"d": 2}}\n</tool_call>'),
    ],
)
def test_every_other_model_reads_them_as_text(name: str, has_tools: bool, opened: str) -> None:
    given = json.loads(rendered(as_json, CHAT, [TOOL], family_of(name), has_tools=has_tools))
    system, user, assistant, result = given["messages"]

    assert given["tools"] == []
    assert system["content"].startswith("Be brief.\n\nYou may call these tools")
    assert json.dumps(TOOL["function"]) in system["content"]
    assert (user, assistant) == (CHAT[1], {"role": "assistant", "content": opened})
    assert result == {"role": "user", "content": "<tool_response>\nYes.\n</tool_response>"}


def test_what_a_template_with_tools_refuses_is_written_out() -> None:
    given = json.loads(rendered(without_tools, CHAT, [TOOL], FAMILIES["mistral"], has_tools=True))

    assert [message["role"] for message in given["messages"]] == ["system", "user", "assistant", "user"]  # fmt: skip


def test_messages_without_tools_stay_as_they_are() -> None:
    given = json.loads(rendered(without_tools, CHAT[:2], [], UNKNOWN, has_tools=False))

    assert given["messages"] == CHAT[:2]
