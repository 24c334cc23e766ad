"""Translates tools, schemas and calls into the APIs of the servers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
    name: str = ""
    arguments: str = ""


class OpenAICalls:
    """Joins the parts in which OpenAI's API streams calls."""

    def __init__(self) -> None:
        self._calls: dict[int, _PartialCall] = {}
        self._size = 0

    def take(self, delta: Any) -> None:
        """Add one chunk; EngineError when a server sends absurdly much."""
        for part in getattr(delta, "tool_calls", None) or ():
            # Parts of several calls may come mixed; the index says which call a part belongs to.
            call = self._calls.setdefault(int(part.index or 0), _PartialCall())
            name, arguments = part.function.name or "", part.function.arguments or ""
            self._size += len(name) + len(arguments)
            if self._size > MAX_CALLS_CHARS:
                raise EngineError(
                    f"The server sent calls of more than {MAX_CALLS_CHARS} characters; set max_tokens."
                )
            call.name += name
            call.arguments += arguments

    def pieces(self) -> Iterator[Piece]:
        """Yield the calls; complete only at the end of the answer."""
        for _, call in sorted(self._calls.items()):
            yield Piece("", tool_call=ToolCall(call.name, call.arguments or "{}"))
