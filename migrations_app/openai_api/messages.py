"""The messages of a chat: whose they are, their text, and calls of tools with their results."""

from __future__ import annotations

import json
from collections.abc import Sequence

from msgspec import UNSET

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage, MessageToolCall
from engines.runtimes.text.response_format import Json, parse_calls
from migrations_app.openai_api.errors import RefusedError, refuse
from migrations_app.openai_api.request_bodies import ChatTurn, TextPart

ROLES = {"developer": "system"}
"""Roles that have another name here."""


def parse_messages(turns: Sequence[ChatTurn]) -> list[ChatMessage]:
    """Return the messages as the worker reads them; RefusedError names the one at fault."""
    messages = [_message(f"messages[{number}]", turn) for number, turn in enumerate(turns)]
    _check_results(messages)
    _add_thoughts(messages, turns)
    return messages


def _message(place: str, turn: ChatTurn) -> ChatMessage:
    if turn.function_call:
        refuse(f"{place}.function_call", "is not served here; send tool_calls")
    if turn.content is UNSET and not (turn.tool_calls or turn.refusal or _thought(turn)):
        refuse(f"{place}.content", "must be a text or a list of parts of type text")
    message: ChatMessage = {
        "role": ROLES.get(turn.role, turn.role),
        "content": _content(turn),
    }
    if turn.tool_calls:
        message["tool_calls"] = _calls(f"{place}.tool_calls", turn)
    if turn.role == "tool":
        message["tool_call_id"] = turn.tool_call_id or ""
    return message


def _calls(place: str, turn: ChatTurn) -> list[MessageToolCall]:
    if turn.role != "assistant":
        refuse(place, "may only be in a message of the assistant")
    try:
        return parse_calls(place, [_with_object(call) for call in turn.tool_calls or ()])
    except InvalidRequestError as error:
        raise RefusedError(str(error), param=place) from None


def _with_object(call: Json) -> Json:
    """Return a call whose arguments are the text of an object, as templates read them.

    A model may have written none, something else than an object, or have been cut off: it is kept as what it
    wrote.
    """
    function = call.get("function")
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    if not _is_object(text):
        text = json.dumps({"arguments": text} if text.strip() else {}, ensure_ascii=False)
    return {**call, "function": {**function, "arguments": text}}


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _content(turn: ChatTurn) -> str:
    if isinstance(turn.content, list):
        return "\n".join(
            part.text if isinstance(part, TextPart) else part.refusal for part in turn.content
        )
    return turn.content or turn.refusal or ""


def _thought(turn: ChatTurn) -> str:
    return turn.reasoning_content or turn.reasoning or ""


def _add_thoughts(messages: Sequence[ChatMessage], turns: Sequence[ChatTurn]) -> None:
    """Keep what was thought between the calls that answer the last question; what is older is over."""
    last = max((n for n, turn in enumerate(turns) if turn.role == "user"), default=-1)
    for number in range(last + 1, len(turns)):
        if turns[number].role == "assistant" and _thought(turns[number]):
            messages[number]["reasoning_content"] = _thought(turns[number])


def _check_results(messages: Sequence[ChatMessage]) -> None:
    """RefusedError for a result of a call that no message before it has made."""
    made: set[str] = set()
    for number, message in enumerate(messages):
        made |= {call["id"] for call in message.get("tool_calls", ())}
        if message["role"] == "tool" and message["tool_call_id"] not in made:
            refuse(
                f"messages[{number}].tool_call_id",
                "must be the id of a call in a message of the assistant before it",
            )
