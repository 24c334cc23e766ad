"""What decides how a chat template takes a conversation, and conversations made to find that out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage, MessageToolCall
from engines.runtimes.text.response_format import Json

ARGUMENT = "probe_argument"
TOOL_TEXT = "Zq_tool_qZ"
TOOL: Json = {
    "type": "function",
    "function": {
        "name": "probe_tool",
        "description": TOOL_TEXT,
        "parameters": {
            "type": "object",
            "properties": {ARGUMENT: {"type": "string", "description": "A text."}},
            "required": [ARGUMENT],
        },
    },
}
STATE = 2
"""Turns before one that a template is taken to look at."""
_ADVICE = "Use another model, or set the chat format of its family."
_LOST = (
    "The model's chat template leaves out {lost} of a conversation like this one, in whatever form it gets "
    f"it. {_ADVICE}"
)
_GARBLED = (
    "The model's chat template garbles {garbled} of a conversation like this one, in whatever form it gets "
    f"it. {_ADVICE}"
)


class Turn(NamedTuple):
    """What decides how a template takes a message."""

    role: str
    has_text: bool
    calls: int


class Shape(NamedTuple):
    """What decides how a template takes a conversation."""

    turns: tuple[Turn, ...]
    has_tools: bool
    variables: tuple[tuple[str, Any], ...]


class Probe(NamedTuple):
    """A conversation of a shape whose texts are words that no template writes."""

    messages: list[ChatMessage]
    tools: list[Json]
    words: list[str]

    def require_whole(self, prompt: str, *, is_native: bool) -> None:
        """Raise InvalidRequestError unless a prompt holds each of the words, and calls as JSON."""
        wanted = [*self.words, *([TOOL_TEXT] if self.tools else [])]
        lost = next((word for word in wanted if word not in prompt), "")
        if lost:
            raise InvalidRequestError(_LOST.format(lost=self._name(lost)))
        if any(f"{quote}text{quote}: {quote}Zq" in prompt for quote in "'\""):
            raise InvalidRequestError(_GARBLED.format(garbled="the messages"))
        # Python's way of writing an object, or JSON inside of JSON.
        if is_native and (f"'{ARGUMENT}'" in prompt or f'\\"{ARGUMENT}\\"' in prompt):
            raise InvalidRequestError(_GARBLED.format(garbled="a call of a tool"))

    def _name(self, word: str) -> str:
        if word == TOOL_TEXT:
            return "the tools"
        for number, message in enumerate(self.messages):
            if word in message["content"]:
                names = {"tool": "a tool's result", "system": "system text"}
                later = "later " if message["role"] == "system" and number else ""
                return later + names.get(message["role"], f"a message of the {message['role']}")
        return "a call of a tool"


def shape_of(
    messages: Sequence[ChatMessage], tools: Sequence[Json], variables: Mapping[str, Any]
) -> Shape:
    """Return a conversation's shape; what repeats itself in a long one is in it once."""
    turns: list[Turn] = []
    first: dict[tuple[Turn, ...], int] = {}
    for message in messages:
        calls = min(len(message.get("tool_calls") or ()), 2)
        turns.append(Turn(message["role"], bool(message["content"].strip()), calls))
        first.setdefault(_window(turns, len(turns) - 1), len(turns) - 1)
        _forget_repetition(turns, first)
    return Shape(tuple(turns), bool(tools), tuple(sorted(variables.items())))


def _window(turns: Sequence[Turn], number: int) -> tuple[Turn, ...]:
    """Return a turn with those before it that a template is taken to look at."""
    return tuple(turns[max(0, number - STATE) : number + 1])


def _forget_repetition(turns: list[Turn], first: Mapping[tuple[Turn, ...], int]) -> None:
    """Drop the last turns where they lead back to where they began and all of them were there before.

    Only an even number is dropped, because templates ask whether a turn is an odd or an even one.
    ``first`` has the number of the first turn of each kind.
    """
    for place in range(len(turns) - 2, STATE - 1, -2):
        if first[_window(turns, place + 1)] >= place or first[_window(turns, place)] >= place:
            return
        if turns[place - STATE : place] == turns[-STATE:]:
            del turns[place:]
            return


def make_probe(shape: Shape) -> Probe:
    """Return a conversation of a shape whose words differ from one another."""
    messages: list[ChatMessage] = []
    words: list[str] = []
    asked: list[str] = []
    for number, turn in enumerate(shape.turns):
        word = f"Zq{number}qZ"
        message: ChatMessage = {"role": turn.role, "content": word if turn.has_text else ""}
        if turn.has_text:
            words.append(word)
        if turn.calls:
            calls = [_make_call(number, place) for place in range(turn.calls)]
            message["tool_calls"] = calls
            asked = [call["id"] for call in calls]
            words += [_argument_word(number, place) for place in range(turn.calls)]
        if turn.role == "tool":
            message["tool_call_id"] = asked.pop(0) if asked else f"call_{number:024}"
        messages.append(message)
    return Probe(messages, [TOOL] if shape.has_tools else [], words)


def _make_call(number: int, place: int) -> MessageToolCall:
    arguments = json.dumps({ARGUMENT: _argument_word(number, place)})
    return {
        "id": f"call_{number:012}{place:012}",
        "type": "function",
        "function": {"name": TOOL["function"]["name"], "arguments": arguments},
    }


def _argument_word(number: int, place: int) -> str:
    return f"Zq{number}c{place}qZ"
