"""The messages of a chat: whose they are, their text, and calls of tools with their results.

Programs that came from another API send parts of its types, and calls and results without an id, as Ollama
and Gemini have none, nor OpenAI's functions before they were tools: results then answer calls in their order,
or by the function's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage, MessageToolCall
from engines.runtimes.text.response_format import Json, is_shallow, make_name, parse_calls
from migrations_app.openai_api.errors import RefusedError, refuse
from migrations_app.openai_api.request_bodies import MAX_DEPTH, ChatTurn, TextPart

ROLES = {"developer": "system"}
"""Roles that have another name here."""
KNOWN_ROLES = ("system", "developer", "user", "assistant", "tool")
TEXTS = {"input_text": "text", "output_text": "text"}
"""The parts of ``/v1/responses``, under their names here."""
THOUGHTS = ("thinking", "reasoning", "redacted_thinking")
"""Parts in which others keep what a model thought."""
KNOWN = ("text", "refusal")
OLD_CALL = "must be an object in a message of the assistant that has no tool_calls"


def parse_messages(turns: Sequence[ChatTurn]) -> list[ChatMessage]:
    """Return the messages as the worker reads them; RefusedError names the one at fault."""
    messages = [_message(f"messages[{number}]", turn) for number, turn in enumerate(turns)]
    _check_results(messages)
    _add_thoughts(messages, turns)
    return messages


def _message(place: str, turn: ChatTurn) -> ChatMessage:
    if turn.function_call:
        refuse(f"{place}.function_call", OLD_CALL)
    # Programs that leave out what is empty send a result without any.
    says_nothing = turn.content is UNSET and turn.role != "tool"
    if says_nothing and not (turn.tool_calls or turn.refusal or _thought(turn)):
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
    """Return a call whose arguments are the text of an object, as templates read them, and whose name is one.

    A model may have written none, something else than an object or one without end, or have been cut off: it is
    kept as what it wrote. It may also have called what is no tool's name.
    """
    function = call.get("function")
    if not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    if not _is_object(text):
        text = json.dumps({"arguments": text} if text.strip() else {}, ensure_ascii=False)
    name = function.get("name")
    if isinstance(name, str):
        name = make_name(name) or "_"
    return {**call, "function": {**function, "name": name, "arguments": text}}


def _is_object(text: str) -> bool:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(given, dict) and is_shallow(given, MAX_DEPTH)


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


def tidy_messages(given: object) -> object:
    """Return messages in the form that is checked; RefusedError for a part that nothing here reads."""
    if not isinstance(given, list):
        return given
    calls = _OpenCalls()
    return [
        _tidy(f"messages[{number}]", message, calls) if isinstance(message, Mapping) else message
        for number, message in enumerate(given)
    ]


def _tidy(place: str, message: Mapping[str, Any], calls: _OpenCalls) -> Mapping[str, Any]:
    message = _with_tools(message)
    role = message.get("role")
    if isinstance(role, str) and role not in KNOWN_ROLES:
        refuse(
            f"{place}.role", f"cannot be {role!r:.60}; it must be one of {', '.join(KNOWN_ROLES)}"
        )
    if isinstance(message.get("content"), list):
        message = _with_texts(place, message)
    if isinstance(message.get("tool_calls"), list):
        return {**message, "tool_calls": calls.named(message["tool_calls"])}
    if message.get("role") == "tool":
        return {**message, "tool_call_id": calls.answered(place, message)}
    return message


def _with_tools(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message whose call or result is a tool's, though it may be a function's of before there were tools.

    Conversations keep them that were begun with an older version of a program.
    """
    if message.get("role") == "function":
        return {**message, "role": "tool"}
    call = message.get("function_call")
    if (
        isinstance(call, Mapping)
        and message.get("role") == "assistant"
        and not message.get("tool_calls")
    ):
        return {
            **message,
            "function_call": None,
            "tool_calls": [{"type": "function", "function": call}],
        }
    return message


def _with_function(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a call of a function; one of a tool that takes a text has that as its only argument."""
    custom = call.get("custom")
    if call.get("function") is not None or not isinstance(custom, Mapping):
        return call
    arguments = json.dumps({"input": custom.get("input")}, ensure_ascii=False)
    return {
        "id": call.get("id"),
        "function": {"name": custom.get("name"), "arguments": arguments},
    }


def _with_texts(place: str, message: Mapping[str, Any]) -> Json:
    """Return a message whose parts are texts; what was thought stands beside them."""
    texts: list[Any] = []
    thoughts: list[str] = []
    for number, part in enumerate(message["content"]):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(part, str):
            # LangChain's messages hold texts beside parts.
            texts.append({"type": "text", "text": part})
        elif not isinstance(kind, str):
            texts.append(part)
        elif kind in THOUGHTS and message.get("role") == "assistant":
            thoughts.append(_thought_in(part))
        elif kind in TEXTS or kind in KNOWN:
            texts.append({**part, "type": TEXTS.get(kind, kind)})
        else:
            refuse(
                f"{place}.content",
                f"has a part of type {kind!r:.60} at {number}, and the engines here read text only; send text",
            )
    thought = "\n".join(filter(None, thoughts))
    return {**message, "content": texts, **({"reasoning_content": thought} if thought else {})}


def _thought_in(part: Mapping[str, Any]) -> str:
    """Return what a part says that was thought: a text, or as Mistral writes it a list of parts."""
    thought = part.get("thinking") or part.get("text") or ""
    if isinstance(thought, list):
        texts = [one.get("text") for one in thought if isinstance(one, Mapping)]
        return "".join(text for text in texts if isinstance(text, str))
    return thought if isinstance(thought, str) else ""


class _OpenCalls:
    """Calls that have no result yet, the oldest first: ids and names of functions."""

    def __init__(self) -> None:
        self._open: list[tuple[object, object]] = []
        self._count = 0

    def named(self, calls: list[Any]) -> list[Any]:
        """Return calls of which each has an id."""
        named = []
        for call in calls:
            if isinstance(call, Mapping):
                call = _with_function(call)
                call = {**call, "id": call.get("id") or f"call{self._count:05}"}
                function = call.get("function")
                name = function.get("name") if isinstance(function, Mapping) else None
                self._open.append((call["id"], name))
                self._count += 1
            named.append(call)
        return named

    def answered(self, place: str, result: Mapping[str, Any]) -> object:
        """Return the id of the call that a result answers: the one it names, else the oldest open one."""
        given, name = result.get("tool_call_id"), result.get("name")
        for call in self._open:
            if call[0] == given or (not given and name in (None, "", call[1])):
                self._open.remove(call)
                return call[0]
        if given:
            # Whether a call had that id is looked at when all messages are read.
            return given
        raise RefusedError(
            f"{place} must be the result of a call in a message of the assistant before it; "
            "name the call with tool_call_id, or its function with name.",
            param=f"{place}.tool_call_id",
        )
