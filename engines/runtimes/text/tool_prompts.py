"""Puts tools, their calls and their results into a prompt.

A template that describes tools gets them as they are; for any other they are written into the messages,
so that every chat model can be asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress

from engines.runtimes.base import CalledFunction, ChatMessage
from engines.runtimes.text.families import ToolFormat
from engines.runtimes.text.response_format import Json


def describes_tools(template: str) -> bool:
    """Whether a chat template reads its variable ``tools``."""
    return re.search(r"\btools\b", template) is not None


def write_tools_as_text(
    messages: Sequence[ChatMessage], tools: Sequence[Json], form: ToolFormat
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


def instructions(tools: Sequence[Json], form: ToolFormat) -> str:
    """Return the text that tells a model which tools there are and how to call one."""
    functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    example = f'{{"name": "the tool\'s name", "{form.arguments}": {{"argument": "value"}}}}'
    return (
        f"You may call these tools (their arguments are described as JSON schemas):\n{functions}\n"
        f"To call one, answer with nothing but: {_enclose(example, form)}"
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


def _is_object(text: str) -> bool:
    with suppress(ValueError, RecursionError):
        return isinstance(json.loads(text), dict)
    return False


def _as_text(message: ChatMessage, form: ToolFormat) -> ChatMessage:
    if message["role"] == "tool":
        return {
            "role": "user",
            "content": f"<tool_response>\n{message['content']}\n</tool_response>",
        }
    calls = message.get("tool_calls") or []
    if not calls:
        return {"role": message["role"], "content": message["content"]}
    written = [_enclose(_call_text(call["function"], form), form) for call in calls]
    return {
        "role": message["role"],
        "content": "\n".join(part for part in (message["content"], *written) if part),
    }


def _call_text(function: CalledFunction, form: ToolFormat) -> str:
    given = function["arguments"]
    arguments = (
        given if _is_object(given) else json.dumps(read_arguments(given), ensure_ascii=False)
    )
    return f'{{"name": {json.dumps(function["name"])}, "{form.arguments}": {arguments}}}'


def _enclose(call: str, form: ToolFormat) -> str:
    if form.is_list:
        return f"{form.opening}[{call}]{form.closing}"
    return "\n".join(part for part in (form.opening, call, form.closing) if part)
