"""What form an answer has, in the words of the servers that are asked for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.text.generation import FORM, GenerationOptions, Piece, ToolCall
from engines.runtimes.text.response_format import Json

LONGEST_CALLS = 1_000_000
"""Characters of all calls of one answer."""


def openai_form(options: GenerationOptions, given: frozenset[str]) -> Json:
    """Return the options of an answer's form as OpenAI's API has them: only what the caller set."""
    values = {name: getattr(options, name) for name in FORM if name in given}
    tools = {"tools": [*options.tools]} if "tools" in given else {}
    return {name: value for name, value in {**values, **tools}.items() if value not in (None, [])}


def ollama_form(options: GenerationOptions) -> Json:
    """Return the same for Ollama's API; InvalidRequestError for what it does not have."""
    if options.must_call:
        raise InvalidRequestError(
            "Ollama leaves it to the model whether a tool is called; use tool_choice auto, or an engine "
            "of the runtime llama_cpp or openai."
        )
    form: Json = {"tools": [*options.shown_tools]} if options.shown_tools else {}
    return form if options.schema is None else {**form, "format": options.schema}


def ollama_messages(messages: Sequence[ChatMessage]) -> list[Json]:
    """Return messages as Ollama reads them: the arguments of a call are an object there."""
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
class _Growing:
    name: str = ""
    arguments: str = ""


class OpenAICalls:
    """Puts calls together from the parts in which OpenAI's API streams them."""

    def __init__(self) -> None:
        self._calls: dict[int, _Growing] = {}
        self._size = 0

    def take(self, delta: Any) -> None:
        """Add what one chunk says; EngineError when a server sends more than anybody asked for."""
        for part in getattr(delta, "tool_calls", None) or ():
            call = self._calls.setdefault(int(part.index or 0), _Growing())
            name, arguments = part.function.name or "", part.function.arguments or ""
            self._size += len(name) + len(arguments)
            if self._size > LONGEST_CALLS:
                raise EngineError(
                    f"The server sent calls of more than {LONGEST_CALLS} characters; set max_tokens."
                )
            call.name += name
            call.arguments += arguments

    def pieces(self) -> Iterator[Piece]:
        """Yield the calls when all of the answer is there."""
        for _, call in sorted(self._calls.items()):
            yield Piece("", tool_call=ToolCall(call.name, call.arguments or "{}"))
