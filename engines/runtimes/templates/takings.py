"""What a chat template takes of the kinds of conversations that there are, and what of them it loses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage, MessageToolCall
from engines.runtimes.templates.conversations import ConversationRenderer
from engines.runtimes.templates.shapes import TOOL
from engines.runtimes.text.response_format import Json


def _say(*roles: str) -> list[ChatMessage]:
    return [{"role": role, "content": role} for role in roles]


def _call(number: int) -> MessageToolCall:
    name = TOOL["function"]["name"]
    return {
        "id": f"call_{number:024}",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps({"number": number})},
    }


def _answer_calls(count: int) -> list[ChatMessage]:
    calls = [_call(number) for number in range(count)]
    results: list[ChatMessage] = [
        {"role": "tool", "content": "result", "tool_call_id": call["id"]} for call in calls
    ]
    return [{"role": "assistant", "content": "", "tool_calls": calls}, *results]


class Kind(NamedTuple):
    """A kind of conversation, by an example of it."""

    messages: Sequence[ChatMessage]
    tools: Sequence[Json] = ()


KINDS: Mapping[str, Kind] = {
    "a question": Kind(_say("user")),
    "what was said before": Kind(_say("user", "assistant", "user")),
    "system text": Kind(_say("system", "user")),
    "later system text": Kind(_say("system", "user", "assistant", "system", "user")),
    "two user turns in a row": Kind(_say("user", "user")),
    "tools": Kind(_say("system", "user"), [TOOL]),
    "a call and its result": Kind([*_say("system", "user"), *_answer_calls(1)], [TOOL]),
    "two results in a row": Kind([*_say("system", "user"), *_answer_calls(2)], [TOOL]),
}
"""What every template must be able to say in some form, by name."""


def find_losses(renderer: ConversationRenderer, variables: Mapping[str, Any]) -> list[str]:
    """Return the names of the kinds that a template refuses, or loses a part of, in every form."""
    losses = []
    for name, kind in KINDS.items():
        try:
            renderer.form_for(kind.messages, kind.tools, variables)
        except InvalidRequestError:
            losses.append(name)
    return losses
