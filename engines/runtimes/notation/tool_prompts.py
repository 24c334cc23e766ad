"""Puts tools, their calls and their results into a prompt.

A template that describes tools gets them as they are; for any other they are written into the messages,
so that every chat model can be asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from engines.runtimes.base import ChatMessage
from engines.runtimes.notation.description import CallNotation, write_calls
from engines.runtimes.text.response_format import Json
from engines.runtimes.text.schemas import own_parameters_of


def write_tools_as_text(
    messages: Sequence[ChatMessage], tools: Sequence[Json], form: CallNotation
) -> list[ChatMessage]:
    """Return the messages with calls and results as text, and the tools described in front."""
    plain = [_as_text(message, form) for message in messages]
    if not tools:
        return plain
    text = instructions(tools, form)
    # One system message: many templates refuse a second one.
    if plain and plain[0]["role"] == "system":
        text, plain = f"{plain[0]['content']}\n\n{text}", plain[1:]
    return [{"role": "system", "content": text}, *plain]


def complete_tool(tool: Json) -> Json:
    """Return a tool with empty descriptions of itself and its parameters, and none of these, where it says nothing."""
    function = tool["function"]
    said = function.get("parameters") or {}
    parameters = {name: value for name, value in said.items() if value is not None}
    described = {
        name: {"description": "", **(schema if isinstance(schema, dict) else {})}
        for name, schema in own_parameters_of(function).items()
    }
    parameters = {"type": "object", **parameters, "properties": described}
    description = function.get("description") or ""
    return {**tool, "function": {**function, "description": description, "parameters": parameters}}


def instructions(tools: Sequence[Json], form: CallNotation) -> str:
    """Return the text that tells a model which tools there are and how to call one."""
    functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    example = write_calls([("the tool's name", '{"argument": "value"}')], form)
    return (
        f"You may call these tools (their arguments are described as JSON schemas):\n{functions}\n"
        f"To call one, answer with nothing but: {example}"
    )


def read_arguments(text: str) -> Json:
    """Return the arguments of a call in a history as an object, whatever a model or a program wrote there."""
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        # Cut off, or never JSON: the next answer shall know what was said.
        return {"arguments": text}
    if isinstance(value, dict):
        return value
    return {"arguments": value} if value else {}


def _object_text(given: str) -> str:
    """Return arguments as the text of an object; one that is it already stays as it was written."""
    return given if _is_object(given) else json.dumps(read_arguments(given), ensure_ascii=False)


def _is_object(text: str) -> bool:
    with suppress(ValueError, RecursionError):
        return isinstance(json.loads(text), dict)
    return False


def _as_text(message: ChatMessage, form: CallNotation) -> ChatMessage:
    if message["role"] == "tool":
        return {
            "role": "user",
            "content": f"<tool_response>\n{message['content']}\n</tool_response>",
        }
    called = [call["function"] for call in message.get("tool_calls") or []]
    if not called:
        return {"role": message["role"], "content": message["content"]}
    written = write_calls(
        [(call["name"], _object_text(call["arguments"])) for call in called], form
    )
    content = "\n".join(part for part in (message["content"], written) if part)
    return {"role": message["role"], "content": content}
