"""Puts tools, their calls and their results into a prompt.

A template that describes tools gets them as they are; for any other they are written into the messages,
so that every chat model can be asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import CalledFunction, ChatMessage, MessageToolCall
from engines.runtimes.text.families import Family, ToolFormat, render_for_family
from engines.runtimes.text.response_format import Json

Render = Callable[[Sequence[ChatMessage], Sequence[Json]], str]
"""A template: messages and tools to a prompt."""


def render_with_tools(
    render: Render,
    messages: Sequence[ChatMessage],
    tools: Sequence[Json],
    family: Family,
    *,
    has_tools: bool,
) -> str:
    """Render messages and tools; ``has_tools`` says that the template itself describes tools.

    What such a template refuses is written as text, as for any other. Raises InvalidRequestError when it
    refuses that as well.
    """
    if has_tools and family.knows_tools and (tools or any(map(_has_tools, messages))):
        # Templates differ in what they accept (no content, several calls); text is always understood.
        with suppress(InvalidRequestError):
            return render([_for_template(message) for message in messages], tools)
    plain = write_tools_as_text(messages, tools, family.calls)
    return render_for_family(lambda turns: render(turns, ()), plain, family)


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
    return (
        f'{{"name": {json.dumps(function["name"])}, "{form.arguments}": {function["arguments"]}}}'
    )


def _enclose(call: str, form: ToolFormat) -> str:
    if form.is_list:
        return f"{form.opening}[{call}]{form.closing}"
    return "\n".join(part for part in (form.opening, call, form.closing) if part)


def _has_tools(message: ChatMessage) -> bool:
    return message["role"] == "tool" or bool(message.get("tool_calls"))


def _for_template(message: ChatMessage) -> ChatMessage:
    """Return a message as templates read it: the arguments of a call are an object there."""
    calls = message.get("tool_calls")
    if not calls:
        return message
    copied: Any = {**message, "tool_calls": [_with_object(call) for call in calls]}
    result: ChatMessage = copied
    return result


def _with_object(call: MessageToolCall) -> Json:
    function = call["function"]
    return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}
