"""What OpenAI's clients send to ``/v1/responses``, as a body of chat completions.

Source: https://platform.openai.com/docs/api-reference/responses. Nothing of an answer is kept, so a client
sends what came before with each request. ``knowledge``, ``top_k``, ``min_p``, ``repeat_penalty``, ``seed`` and
``stop`` go beyond OpenAI's fields, as in chat completions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

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
    read_texts,
    text_part,
)
from migrations_app.openai_api.errors import refuse
from migrations_app.openai_api.request_bodies import Hint, Name, given_hints
from migrations_app.openai_api.requests import AskedText, Body, chat_request
from migrations_app.openai_api.tidying import numbered_tools, openai_kind

SAME_NAMES = (
    *("model", "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "stop"),
    *("stream", "parallel_tool_calls", "knowledge", "frequency_penalty", "presence_penalty"),
)
NAMES = {name: name for name in SAME_NAMES} | {"max_output_tokens": "max_tokens"}
PARTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal")
OUR_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "tool_call_id": "call_id",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}
NAMESPACE = "namespace"
"""A tool that holds functions; a call of one names both."""
CALLS = ("function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call")
"""What the client carries out itself."""
OUTPUTS = tuple(f"{kind}_output" for kind in CALLS)
SERVERS_ITEMS = (
    *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"),
    *("mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
    *("tool_search_call", "tool_search_output"),
)
"""What OpenAI's servers did: the answer that came of it stands beside it."""
OWN_FIELDS = ("type", "id", "call_id", "status", "created_by", "namespace")
"""Of an item that is a call: what remains is what it was called with."""
NOT_KEPT = (
    "is not served here, as SAM keeps no answers for programs; send the earlier items in input (clients do "
    'so by themselves when they send "store": false)'
)

REFERENCE = (
    "refers to an item of an earlier answer, and SAM keeps none for programs; send the item itself (clients do so "
    'by themselves when they send "store": false)'
)


class TextConfig(Struct, frozen=True):
    """The form of the answer."""

    format: Json | None = None
    verbosity: Hint = None


class Reasoning(Struct, frozen=True):
    """How much the model shall think; its thoughts come as a summary."""

    effort: str | None = None
    summary: Any = None
    generate_summary: Any = None
    context: Any = None


class ResponsesBody(Struct, frozen=True, kw_only=True):
    """The body of ``/v1/responses``."""

    model: Name
    input: (
        Annotated[str, Meta(min_length=1)]
        | Annotated[list[Json], Meta(min_length=1, max_length=MAX_MESSAGES)]
    )
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: Any = None
    stream: bool | None = None
    tools: list[Json] | None = None
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    knowledge: Any = None
    metadata: dict[str, str] | None = None

    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    background: bool | None = None

    store: Hint = None
    include: Hint = None
    stream_options: Hint = None
    truncation: Hint = None
    top_logprobs: Any = None
    max_tool_calls: Hint = None
    context_management: Hint = None
    client_metadata: Hint = None
    user: Hint = None
    service_tier: Hint = None
    safety_identifier: Hint = None
    prompt_cache_key: Hint = None
    prompt_cache_options: Hint = None
    prompt_cache_retention: Hint = None


def responses_body(body: Body) -> ResponsesBody:
    """Return a checked body of ``/v1/responses``; RefusedError for what would have to be kept."""
    asked = read_as(body, ResponsesBody)
    for name in ("previous_response_id", "conversation", "prompt"):
        if getattr(asked, name):
            refuse(name, NOT_KEPT)
    if asked.background:
        refuse("background", "is not served here; stream the answer")
    if asked.top_logprobs:
        refuse("top_logprobs", "cannot be told here; leave it out")
    return asked


def responses_request(asked: ResponsesBody) -> AskedText:
    """Return what is asked for; RefusedError names the field at fault."""
    messages = list(_messages(asked))
    chat = {**given_fields(asked, NAMES), "messages": [message for _, message in messages]}
    placed = list(_placed_tools(asked.tools or []))
    tools, left_out = numbered_tools([tool for _, tool in placed], openai_kind)
    places = [placed[number][0] for number, _ in tools]
    if tools:
        chat["tools"] = [_tool(place, tool) for place, (_, tool) in zip(places, tools, strict=True)]
    sent = Sent(
        asked,
        OUR_NAMES,
        messages,
        places,
        [*_hints_inside(asked), *left_out, *_servers_items(asked.input)],
    )
    return read_sent(chat_request, {**chat, **_form(asked), **_choice(asked)}, sent)


def _placed_tools(tools: list[Json]) -> Iterator[tuple[str, Json]]:
    """Yield tools and where they stand; those in a namespace as functions that are called after it too."""
    for number, tool in enumerate(tools):
        place, inner = f"tools[{number}]", tool.get("tools")
        if tool.get("type") != NAMESPACE or not isinstance(inner, list):
            yield place, tool
            continue
        for inner_number, one in enumerate(inner):
            if isinstance(one, Mapping):
                name = full_name(tool.get("name"), one.get("name"))
                yield f"{place}.tools[{inner_number}]", {**one, "name": name}


def full_name(namespace: object, name: object) -> str:
    """Return what a function of a namespace is called where there are none."""
    return f"{namespace}__{name}" if namespace else str(name)


def names_in_namespaces(asked: ResponsesBody) -> dict[str, tuple[str, str]]:
    """Return the namespaces and the names of functions by what they are called here."""
    return {
        full_name(tool.get("name"), one.get("name")): (str(tool.get("name")), str(one.get("name")))
        for tool in asked.tools or ()
        if tool.get("type") == NAMESPACE and isinstance(tool.get("tools"), list)
        for one in tool["tools"]
        if isinstance(one, Mapping)
    }


def _hints_inside(asked: ResponsesBody) -> list[str]:
    return [f"text.{name}" for name in given_hints(asked.text)] if asked.text else []


def _servers_items(given: str | list[Json]) -> list[str]:
    """Return of which kinds items are left out."""
    kinds = [item.get("type") for item in given if isinstance(item, Mapping)]
    return [f"input.{kind}" for kind in SERVERS_ITEMS if kind in kinds]


def _messages(asked: ResponsesBody) -> Iterator[Placed]:
    if asked.instructions:
        yield Placed("instructions", {"role": "system", "content": asked.instructions})
    if isinstance(asked.input, str):
        yield Placed("input", {"role": "user", "content": asked.input})
    else:
        yield from _AssistantTurns(asked.input).messages()


class _AssistantTurns:
    """Items as messages: thoughts, text and calls that follow each other are one turn of the assistant."""

    def __init__(self, items: list[Json]) -> None:
        self._items = items
        self._call_ids: dict[str, str] = {}
        """By the ids of their items: some results name those."""
        self._turn: Json = {}
        self._place = ""

    def messages(self) -> Iterator[Placed]:
        for number, item in enumerate(self._items):
            place = f"input[{number}]"
            if item.get("type") in SERVERS_ITEMS:
                continue
            if not self._belongs(place, item):
                yield from self._finished()
                yield Placed(place, self._other(place, item))
        yield from self._finished()

    def _belongs(self, place: str, item: Json) -> bool:
        """Add an item to the assistant's turn, where it belongs there."""
        kind = item.get("type") or "message"
        if kind == "reasoning":
            self._think(place, item)
        elif kind in CALLS:
            call_id = _call_id(place, item)
            self._call_ids[str(item.get("id"))] = call_id
            self._turn.setdefault("tool_calls", []).append(_call(place, call_id, kind, item))
        elif kind == "message" and item.get("role") == "assistant":
            texts = read_texts(f"{place}.content", item.get("content"), PARTS)
            self._turn.setdefault("content", []).extend(texts)
        else:
            return False
        self._place = self._place or place
        return True

    def _other(self, place: str, item: Json) -> Json:
        kind = item.get("type")
        if kind not in OUTPUTS:
            return _message(place, item)
        given = _call_id(place, item)
        content = _output(f"{place}.output", kind, item)
        return {
            "role": "tool",
            "tool_call_id": self._call_ids.get(given, given),
            "content": content,
        }

    def _think(self, place: str, item: Json) -> None:
        texts = [
            part["text"]
            for name in ("summary", "content")
            for part in read_texts(f"{place}.{name}", item.get(name), PARTS)
        ]
        thought = self._turn.get("reasoning_content", "")
        self._turn["reasoning_content"] = "\n".join([thought, *texts] if thought else texts)

    def _finished(self) -> Iterator[Placed]:
        turn, self._turn = self._turn, {}
        place, self._place = self._place, ""
        if "content" in turn or "tool_calls" in turn:
            yield Placed(place, {"role": "assistant", "content": [], **turn})


def _call_id(place: str, item: Mapping[str, Any]) -> str:
    """Return by what a call and its result know each other; of a local shell's that may be the item's own id."""
    has_only_id = item.get("id") and not item.get("call_id")
    return read_field(place, item, "id" if has_only_id else "call_id")


def _output(place: str, kind: str, item: Mapping[str, Any]) -> list[Json]:
    """Return what a call gave; what a shell gave, command by command, as JSON, and of a patch at least how it went."""
    output = item.get("output")
    if kind == "shell_call_output" and isinstance(output, list):
        return [text_part(json.dumps(output, ensure_ascii=False))]
    if kind == "apply_patch_call_output" and not output:
        output = item.get("status")
    return read_texts(place, output, PARTS)


def _call(place: str, call_id: str, kind: str, item: Mapping[str, Any]) -> Json:
    """Return a call of a function; another kind of call is one of a function that is called like its tool."""
    namespace = item.get("namespace")
    if kind == "function_call":
        name = full_name(namespace, read_field(place, item, "name"))
        return function_call(call_id, name, arguments_text(item.get("arguments") or ""))
    given = {name: value for name, value in item.items() if name not in OWN_FIELDS}
    named = given.pop("name", None) if kind == "custom_tool_call" else None
    name = full_name(namespace, named if isinstance(named, str) else kind.removesuffix("_call"))
    return function_call(call_id, name, json.dumps(given, ensure_ascii=False))


def _message(place: str, item: Mapping[str, Any]) -> Json:
    kind = item.get("type") or "message"
    if kind == "item_reference" or ("type" not in item and set(item) == {"id"}):
        refuse(place, REFERENCE)
    if kind != "message":
        refuse(
            place,
            f"is of type {kind!r:.60}, which is not served here; send messages, function calls and "
            "their outputs",
        )
    content = read_texts(f"{place}.content", item.get("content"), PARTS)
    return {"role": item.get("role"), "content": content}


def _form(asked: ResponsesBody) -> Json:
    form: Json = {}
    wanted = asked.text.format if asked.text else None
    if wanted is not None:
        form["response_format"] = _format(wanted)
    if asked.reasoning and asked.reasoning.effort is not None:
        form["reasoning_effort"] = asked.reasoning.effort
    return form


def _format(wanted: Json) -> Json:
    """Return a format as chat completions take it, where a schema lies one level deeper."""
    if wanted.get("type") != "json_schema":
        return wanted
    inner = {name: value for name, value in wanted.items() if name != "type" and value is not None}
    return {"type": "json_schema", "json_schema": inner}


def _choice(asked: ResponsesBody) -> Json:
    choice = asked.tool_choice
    if isinstance(choice, Mapping) and choice.get("type") not in ("function", "allowed_tools"):
        refuse("tool_choice", "must be auto, none, required, or a function with its name")
    return {} if choice is None else {"tool_choice": choice}


def _tool(place: str, tool: Json) -> Json:
    if tool.get("type") != "function":
        refuse(
            place,
            f"is of type {tool.get('type')!r:.60}, which only OpenAI's servers and programs know; "
            "send functions",
        )
    inner = tool.get("function")
    function = inner if isinstance(inner, Mapping) else tool
    return function_tool(
        *(function.get(name) for name in ("name", "description", "parameters", "strict"))
    )
