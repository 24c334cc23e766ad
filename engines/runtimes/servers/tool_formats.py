"""Translates tools, schemas and calls into the APIs of the servers."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.text.generation import FORM, GenerationOptions, Piece, ToolCall
from engines.runtimes.text.response_format import Json

MAX_CALLS_CHARS = 1_000_000
"""Characters of all calls of one answer."""


def openai_form(options: GenerationOptions, given: frozenset[str]) -> Json:
    """Return the options of an answer's form for OpenAI's API: only what the caller set."""
    values = {name: getattr(options, name) for name in FORM if name in given}
    tools = {"tools": [*options.tools]} if "tools" in given else {}
    return {name: value for name, value in {**values, **tools}.items() if value not in (None, [])}


def ollama_form(options: GenerationOptions) -> Json:
    """Return the same for Ollama's API; InvalidRequestError for what it cannot do."""
    if options.must_call:
        raise InvalidRequestError(
            "Ollama leaves it to the model whether a tool is called; use tool_choice auto, or an engine "
            "of the runtime llama_cpp or openai."
        )
    form: Json = {"tools": [*options.shown_tools]} if options.shown_tools else {}
    return form if options.schema is None else {**form, "format": options.schema}


def ollama_messages(messages: Sequence[ChatMessage]) -> list[Json]:
    """Return messages for Ollama, where the arguments of a call are an object."""
    return [_ollama_message(message) for message in messages]


def _ollama_message(message: ChatMessage) -> Json:
    calls = [call["function"] for call in message.get("tool_calls", ())]
    turn = {"role": message["role"], "content": message["content"]}
    if not calls:
        return turn
    functions = [{**call, "arguments": json.loads(call["arguments"])} for call in calls]
    return {**turn, "tool_calls": [{"function": function} for function in functions]}


def ollama_calls(message: Any) -> Iterator[Piece]:
    """Yield the calls of one of Ollama's chunks."""
    for call in getattr(message, "tool_calls", None) or ():
        arguments = json.dumps(dict(call.function.arguments), ensure_ascii=False)
        yield Piece("", tool_call=ToolCall(str(call.function.name), arguments))


@dataclass(slots=True)
class _PartialCall:
    place: int
    key: str = ""
    name: str = ""
    arguments: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether the arguments are a whole object, so that more of them belong to another call."""
        if not self.arguments.rstrip().endswith("}"):
            return False
        try:
            return isinstance(json.loads(self.arguments), dict)
        except (ValueError, RecursionError):
            return False


class OpenAICalls:
    """Joins the parts in which servers that speak OpenAI's API stream calls.

    The API says: an index for each call, its id and name once, its arguments in parts. Servers give each
    call the same index or none, repeat the name with every part, or send no function at all.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = frozenset(names)
        """Of the tools that may be called: they tell a whole name from a part of one."""
        self._calls: list[_PartialCall] = []
        self._by_index: dict[int, _PartialCall] = {}
        self._size = 0

    @property
    def has_any(self) -> bool:
        return bool(self._calls)

    def take(self, delta: Json) -> None:
        """Add one chunk; EngineError when a server sends absurdly much."""
        older = delta.get("function_call")
        for part in delta.get("tool_calls") or ([{"function": older}] if older else ()):
            function = part.get("function") if isinstance(part, dict) else None
            if not isinstance(function, dict):
                continue
            name, arguments = str(function.get("name") or ""), _as_text(function.get("arguments"))
            self._size += len(name) + len(arguments)
            if self._size > MAX_CALLS_CHARS:
                raise EngineError(
                    f"The server sent calls of more than {MAX_CALLS_CHARS} characters; set max_tokens."
                )
            call = self._call_of(part, name, arguments)
            self._add_name(call, name)
            call.arguments += arguments

    def pieces(self) -> Iterator[Piece]:
        """Yield the calls; complete only at the end of the answer."""
        for call in sorted(self._calls, key=lambda call: call.place):
            if call.name:
                yield Piece("", tool_call=ToolCall(call.name, call.arguments or "{}"))

    def _call_of(self, part: Json, name: str, arguments: str) -> _PartialCall:
        """Return the call that a part belongs to, which may be a new one."""
        given, key = part.get("index"), str(part.get("id") or "")
        index = given if isinstance(given, int) else None
        # Parts of several calls may come mixed.
        call = self._last(key) if index is None else self._by_index.get(index)
        if call is None or self._begins_another(call, key, name, arguments):
            call = _PartialCall(len(self._calls) if index is None else index, key)
            self._calls.append(call)
            if index is not None:
                self._by_index[index] = call
        return call

    def _last(self, key: str) -> _PartialCall | None:
        same = [call for call in self._calls if key and call.key == key]
        return next(reversed(same or self._calls), None)

    def _begins_another(self, call: _PartialCall, key: str, name: str, arguments: str) -> bool:
        if not name:
            return False
        is_complete = call.is_complete
        if is_complete and arguments.strip():
            return True
        if key and call.key and key != call.key:
            # An id of its own for every part is not another call, while arguments are open.
            return is_complete or not call.arguments or name != call.name
        is_open = bool(call.arguments) and not is_complete
        return name != call.name and {name, call.name} <= self._names and not is_open

    def _add_name(self, call: _PartialCall, name: str) -> None:
        if name.startswith(call.name):
            call.name = name or call.name
        elif call.name not in self._names and name != call.name:
            call.name += name


def _as_text(arguments: object) -> str:
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
