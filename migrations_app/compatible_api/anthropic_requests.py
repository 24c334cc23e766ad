"""What Anthropic's clients send to ``/v1/messages``, as a body of chat completions.

Source: https://docs.anthropic.com/en/api/messages. ``knowledge`` is SAM's, sent as ``extra_body``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from engines.runtimes.text.response_format import Json
from engines.services.answers.messages import MAX_MESSAGES
from migrations_app.compatible_api.reading import (
    Placed,
    Sent,
    arguments_text,
    function_call,
    function_tool,
    given_fields,
    read_as,
    read_field,
    read_sent,
    read_text,
    read_texts,
    schema_form,
    text_part,
)
from migrations_app.openai_api.errors import RefusedError, refuse
from migrations_app.openai_api.request_bodies import Hint, Name
from migrations_app.openai_api.requests import AskedText, Body, chat_request
from migrations_app.openai_api.tidying import is_kind, numbered_tools, provider_kind

TEXT = ("text",)
SAME_NAMES = ("model", "max_tokens", "temperature", "top_p", "top_k", "stream", "knowledge")
NAMES = {name: name for name in SAME_NAMES} | {"stop_sequences": "stop"}
OUR_NAMES = {
    "stop": "stop_sequences",
    "tool_call_id": "tool_use_id",
    "response_format": "output_config.format",
    "reasoning_effort": "output_config.effort",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
SERVERS_BLOCKS = ("server_tool_use", "mcp_tool_use", "mcp_tool_listing", "fallback")
RESULT_ENDING = "_tool_result"
"""Of a block in an assistant's message: what a tool of Anthropic's servers gave."""
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
THREAD_UNSUPPORTED = "thread_unsupported_request"
"""Anthropic's code, by which its clients know that they have to send the whole conversation themselves."""


class Turn(Struct, frozen=True):
    """One message; its content is a text or a list of blocks."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Json]


class Thinking(Struct, frozen=True):
    """Whether the model reasons first, and how much."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Any = None


class ToolChoice(Struct, frozen=True):
    """Whether tools may, must or shall not be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Tool(Struct, frozen=True):
    """A tool of the client's own; a set of tools that Anthropic's servers know has no name."""

    name: str = ""
    description: str | None = None
    input_schema: Json | None = None
    type: str | None = None


class OutputForm(Struct, frozen=True):
    """The schema that the answer is held to."""

    type: Literal["json_schema"]
    schema: Json


class OutputConfig(Struct, frozen=True):
    """The form of the answer, and how much the model shall think."""

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
    thread: Any = None

    metadata: Hint = None
    service_tier: Hint = None
    cache_control: Hint = None
    context_management: Hint = None
    inference_geo: Hint = None
    speed: Hint = None
    diagnostics: Hint = None
    user_profile_id: Hint = None
    betas: Hint = None
    container: Hint = None
    mcp_servers: Hint = None


def messages_request(body: Body) -> AskedText:
    """Return a checked request of ``/v1/messages``; RefusedError names the field at fault."""
    asked = read_as(body, MessagesBody)
    _refuse_thread(asked.thread)
    if asked.mcp_servers and not asked.tools:
        refuse("mcp_servers", "cannot be asked from here; send what they offer as tools")
    messages = list(_messages(asked))
    chat = {**given_fields(asked, NAMES), "messages": [message for _, message in messages]}
    tools, left_out = numbered_tools(asked.tools or [], _provider_kind)
    if tools:
        chat["tools"] = [_tool(f"tools[{number}]", tool) for number, tool in tools]
    sent = Sent(
        asked,
        OUR_NAMES,
        messages,
        [f"tools[{number}]" for number, _ in tools],
        [*left_out, *_servers_blocks(asked.messages)],
    )
    return read_sent(chat_request, {**chat, **_form(asked), **_choice(asked)}, sent)


def _refuse_thread(thread: object) -> None:
    if thread:
        raise RefusedError(
            "thread is not served here, as SAM keeps no answers for programs; send all messages with each request.",
            param="thread",
            code=THREAD_UNSUPPORTED,
        )


def _messages(asked: MessagesBody) -> Iterator[Placed]:
    system = read_texts("system", asked.system, TEXT)
    if system:
        yield Placed("system", {"role": "system", "content": system})
    for number, turn in enumerate(asked.messages):
        place = f"messages[{number}]"
        if turn.role == "assistant":
            yield Placed(place, _assistant(f"{place}.content", turn.content))
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
        elif kind != "redacted_thinking" and not _is_servers(kind):
            texts.append(text_part(_read_block(here, block)))
    message: Json = {"role": "assistant", "content": texts}
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        message["reasoning_content"] = "\n".join(thoughts)
    return message


def _is_servers(kind: object) -> bool:
    """Whether a block tells what Anthropic's servers did: the answer that came of it stands beside it."""
    return is_kind(kind) and (kind in SERVERS_BLOCKS or str(kind).endswith(RESULT_ENDING))


def _servers_blocks(turns: list[Turn]) -> list[str]:
    """Return of which kinds such blocks are left out."""
    kinds = {
        str(block.get("type"))
        for turn in turns
        if turn.role == "assistant"
        for block in _blocks(turn.content)
        if _is_servers(block.get("type"))
    }
    return [f"messages.{kind}" for kind in sorted(kinds)]


def _others(place: str, turn: Turn) -> Iterator[Placed]:
    """Yield the results of tools that a turn holds, each as a message, and then its text."""
    texts: list[Json] = []
    results = 0
    for number, block in enumerate(_blocks(turn.content)):
        here = f"{place}.content[{number}]"
        if block.get("type") == "tool_result":
            results += 1
            yield Placed(
                here,
                {
                    "role": "tool",
                    "tool_call_id": read_field(here, block, "tool_use_id"),
                    "content": _results(f"{here}.content", block.get("content")),
                },
            )
        else:
            texts.append(text_part(_read_block(here, block)))
    if texts or not results:
        yield Placed(place, {"role": turn.role, "content": texts})


def _results(place: str, content: object) -> list[Json]:
    """Return what a tool gave: a text, or blocks of which each holds one."""
    if not isinstance(content, list):
        return read_texts(place, content, TEXT)
    return [
        text_part(_read_block(f"{place}[{number}]", block)) for number, block in enumerate(content)
    ]


def _read_block(place: str, block: object) -> str:
    """Return a block's text; a document is read where it is a text, a hit of a search with its source.

    What stands for what was said before is its summary, and a tool that was found its name.
    """
    if not isinstance(block, Mapping):
        return read_text(place, block, TEXT)
    kind, title, source = block.get("type"), block.get("title"), block.get("source")
    if kind == "document" and isinstance(source, Mapping):
        text = _document(f"{place}.source", source)
        return _titled(title, _titled(block.get("context"), text))
    if kind == "search_result":
        found = _joined(f"{place}.content", block.get("content"))
        return _titled(title, _titled(source, found))
    if kind == "compaction":
        return _joined(f"{place}.content", block.get("content"))
    if kind == "tool_reference":
        return read_field(place, block, "tool_name")
    return read_text(place, block, TEXT)


def _document(place: str, source: Mapping[str, Any]) -> str:
    if source.get("type") == "text":
        return read_field(place, source, "data")
    if source.get("type") != "content":
        refuse(place.removesuffix(".source"), "is a document that is no text; send its text")
    return _joined(f"{place}.content", source.get("content"))


def _joined(place: str, content: object) -> str:
    return "\n".join(part["text"] for part in read_texts(place, content, TEXT))


def _titled(title: object, text: str) -> str:
    return f"{title}\n\n{text}" if isinstance(title, str) else text


def _blocks(content: str | list[Json]) -> list[Json]:
    return [text_part(content)] if isinstance(content, str) else content


def _call(place: str, block: Mapping[str, Any]) -> Json:
    # What a model wrote and no program could read as an object is kept as a text by some.
    arguments = arguments_text(block.get("input") or {})
    return function_call(
        read_field(place, block, "id"), read_field(place, block, "name"), arguments
    )


def _form(asked: MessagesBody) -> Json:
    form: Json = {}
    wanted = asked.output_format or (asked.output_config and asked.output_config.format)
    if wanted:
        form["response_format"] = schema_form("answer", wanted.schema)
    if asked.thinking:
        form["thinking"] = structs.asdict(asked.thinking)
    if asked.output_config:
        form["reasoning_effort"] = asked.output_config.effort
    return form


def _provider_kind(tool: Tool) -> str | None:
    return provider_kind(tool.type, tool.input_schema, "custom")


def _choice(asked: MessagesBody) -> Json:
    given: Json = {}
    choice = asked.tool_choice
    if choice is None:
        return given
    if choice.type == "tool":
        served = {tool.name for tool in asked.tools or () if _provider_kind(tool) is None}
        if choice.name not in served:
            refuse("tool_choice.name", "must be the name of one of the tools with an input_schema")
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
            f"is of type {tool.type!r:.60}, which only Anthropic's servers and programs know; "
            "send tools with an input_schema",
        )
    if not tool.name:
        refuse(f"{place}.name", "is missing")
    return function_tool(tool.name, tool.description, tool.input_schema, None)
