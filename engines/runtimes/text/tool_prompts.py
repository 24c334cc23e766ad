"""How tools, their calls and their results are told to a model.

A template that describes tools gets them as they are; for every other one they are written into the
messages, so that any chat model can be asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.text.families import Family, ToolFormat, rendered
from engines.runtimes.text.response_format import Json

Render = Callable[[Sequence[ChatMessage], Sequence[Json]], str]
"""A template: messages and tools to a prompt."""


def told(
    render: Render,
    messages: Sequence[ChatMessage],
    tools: Sequence[Json],
    family: Family,
    *,
    has_tools: bool,
) -> str:
    """Render messages and tools; ``has_tools`` says that the template itself describes tools.

    What such a template refuses is written out, as for any other. Raises InvalidRequestError when it
    refuses that as well.
    """
    if has_tools and family.knows_tools and (tools or any(map(_has_tools, messages))):
        with suppress(InvalidRequestError):
            return render([_for_template(message) for message in messages], tools)
    plain = written_out(messages, tools, family.calls)
    return rendered(lambda turns: render(turns, ()), plain, family)


def describes_tools(template: str) -> bool:
    """Whether a chat template reads its variable ``tools``."""
    return re.search(r"\btools\b", template) is not None


def written_out(
    messages: Sequence[ChatMessage], tools: Sequence[Json], form: ToolFormat
) -> list[ChatMessage]:
    """Return the messages with calls and results as text, opened by what the tools are."""
    plain = [_as_text(message, form) for message in messages]
    if not tools:
        return plain
    text = instructions(tools, form)
    if plain and plain[0]["role"] == "system":
        text, plain = f"{plain[0]['content']}\n\n{text}", plain[1:]
    return [{"role": "system", "content": text}, *plain]


def instructions(tools: Sequence[Json], form: ToolFormat) -> str:
    """Return what a model is told of the tools, and of how it calls one."""
    functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    example = f'{{"name": "the tool\'s name", "{form.arguments}": {{"argument": "value"}}}}'
    return (
        f"You may call these tools (their arguments are described as JSON schemas):\n{functions}\n"
        f"To call one, answer with nothing but: {_enclosed(example, form)}"
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
    written = [_enclosed(_call_text(call["function"], form), form) for call in calls]
    return {
        "role": message["role"],
        "content": "\n".join(part for part in (message["content"], *written) if part),
    }


def _call_text(function: Json, form: ToolFormat) -> str:
    return (
        f'{{"name": {json.dumps(function["name"])}, "{form.arguments}": {function["arguments"]}}}'
    )


def _enclosed(call: str, form: ToolFormat) -> str:
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


def _with_object(call: Json) -> Json:
    function = call["function"]
    return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}
