"""What Anthropic's clients send to ``/v1/messages``, as a body of chat completions.

Source: https://docs.anthropic.com/en/api/messages. ``knowledge`` is SAM's, sent as ``extra_body``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from engines.runtimes.text.response_format import Json
from engines.services.answers.messages import MAX_MESSAGES
from migrations_app.compatible_api.reading import (
    function_call,
    function_tool,
    given_fields,
    read_as,
    read_field,
    read_text,
    read_texts,
    schema_form,
    text_part,
    thinking_switch,
)
from migrations_app.openai_api.errors import refuse
from migrations_app.openai_api.request_bodies import Hint, Name
from migrations_app.openai_api.requests import AskedText, Body, chat_request

TEXT = ("text",)
SAME_NAMES = ("model", "max_tokens", "temperature", "top_p", "top_k", "stream", "knowledge")
NAMES = {name: name for name in SAME_NAMES} | {"stop_sequences": "stop"}
CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class Turn(Struct, frozen=True):
    """One message; its content is a text or a list of blocks."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Json]


class Thinking(Struct, frozen=True):
    """Whether the model reasons first; how much of it is the model's own matter here."""

    type: Literal["enabled", "disabled", "adaptive"]


class ToolChoice(Struct, frozen=True):
    """Whether tools may, must or shall not be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Tool(Struct, frozen=True):
    """A tool of the client's own."""

    name: str
    description: str | None = None
    input_schema: Json | None = None
    type: str | None = None


class OutputForm(Struct, frozen=True):
    """The schema that the answer is held to."""

    type: Literal["json_schema"]
    schema: Json


class OutputConfig(Struct, frozen=True):
    """The form of the answer; ``effort`` is the model's own matter here."""

    format: OutputForm | None = None
    effort: Any = None


class MessagesBody(Struct, frozen=True, kw_only=True):
    """The body of ``/v1/messages``."""

    model: Name
    messages: Annotated[list[Turn], Meta(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: int | None = None
    system: str | list[Json] | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stream: bool | None = None
    thinking: Thinking | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None
    output_format: OutputForm | None = None
    knowledge: Any = None

    metadata: Hint = None
    service_tier: Hint = None
    cache_control: Hint = None
    context_management: Hint = None
    inference_geo: Hint = None
    speed: Hint = None
    diagnostics: Hint = None
    user_profile_id: Hint = None


def messages_request(body: Body) -> AskedText:
    """Return a checked request of ``/v1/messages``; RefusedError names the field at fault."""
    asked = read_as(body, MessagesBody)
    chat = {**given_fields(asked, NAMES), "messages": list(_messages(asked))}
    return chat_request({**chat, **_form(asked), **_tools(asked)})


def _messages(asked: MessagesBody) -> Iterator[Json]:
    system = read_texts("system", asked.system, TEXT)
    if system:
        yield {"role": "system", "content": system}
    for number, turn in enumerate(asked.messages):
        place = f"messages[{number}].content"
        if turn.role == "assistant":
            yield _assistant(place, turn.content)
        else:
            yield from _others(place, turn)


def _assistant(place: str, content: str | list[Json]) -> Json:
    """Return a message of the assistant: its texts, calls, and what it thought."""
    texts: list[Json] = []
    calls: list[Json] = []
    thoughts: list[str] = []
    for number, block in enumerate(_blocks(content)):
        here, kind = f"{place}[{number}]", block.get("type")
        if kind == "tool_use":
            calls.append(_call(here, block))
        elif kind == "thinking":
            thoughts.append(str(block.get("thinking") or ""))
        elif kind != "redacted_thinking":
            texts.append(text_part(read_text(here, block, TEXT)))
    message: Json = {"role": "assistant", "content": texts}
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        message["reasoning_content"] = "\n".join(thoughts)
    return message


def _others(place: str, turn: Turn) -> Iterator[Json]:
    """Yield the results of tools that a turn holds, each as a message, and then its text."""
    texts: list[Json] = []
    results = 0
    for number, block in enumerate(_blocks(turn.content)):
        here = f"{place}[{number}]"
        if block.get("type") == "tool_result":
            results += 1
            yield {
                "role": "tool",
                "tool_call_id": read_field(here, block, "tool_use_id"),
                "content": read_texts(f"{here}.content", block.get("content"), TEXT),
            }
        else:
            texts.append(text_part(_read_block(here, block)))
    if texts or not results:
        yield {"role": turn.role, "content": texts}


def _read_block(place: str, block: Mapping[str, Any]) -> str:
    """Return a block's text; a document is read where it is a text."""
    source = block.get("source")
    if block.get("type") == "document" and isinstance(source, Mapping):
        if source.get("type") == "text":
            title = block.get("title")
            text = read_field(f"{place}.source", source, "data")
            return f"{title}\n\n{text}" if isinstance(title, str) else text
        refuse(place, "is a document that is no text; send its text")
    return read_text(place, block, TEXT)


def _blocks(content: str | list[Json]) -> list[Json]:
    return [text_part(content)] if isinstance(content, str) else content


def _call(place: str, block: Mapping[str, Any]) -> Json:
    given = block.get("input")
    if not isinstance(given, Mapping):
        refuse(f"{place}.input", "must be an object")
    arguments = json.dumps(given, ensure_ascii=False)
    return function_call(
        read_field(place, block, "id"), read_field(place, block, "name"), arguments
    )


def _form(asked: MessagesBody) -> Json:
    form: Json = {}
    wanted = asked.output_format or (asked.output_config and asked.output_config.format)
    if wanted:
        form["response_format"] = schema_form("answer", wanted.schema)
    if asked.thinking and asked.thinking.type != "adaptive":
        form["chat_template_kwargs"] = thinking_switch(thinking=asked.thinking.type == "enabled")
    return form


def _tools(asked: MessagesBody) -> Json:
    given: Json = {}
    if asked.tools:
        given["tools"] = [
            _tool(f"tools[{number}]", tool) for number, tool in enumerate(asked.tools)
        ]
    choice = asked.tool_choice
    if choice is None:
        return given
    if choice.type == "tool":
        given["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    else:
        given["tool_choice"] = CHOICES[choice.type]
    if choice.disable_parallel_tool_use is not None:
        given["parallel_tool_calls"] = not choice.disable_parallel_tool_use
    return given


def _tool(place: str, tool: Tool) -> Json:
    if tool.type not in (None, "custom"):
        refuse(
            place,
            f"is {tool.type!r:.60}, a tool of Anthropic's own servers; send tools with an input_schema",
        )
    return function_tool(tool.name, tool.description, tool.input_schema, None)
