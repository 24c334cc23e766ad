"""What an assistant thinks, in the ways in which templates look for it.

Templates show it between a call and its result, so that a model goes on thinking, and most leave it out of turns
before the last question; where it stands is for them to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engines.runtimes.base import ChatMessage

THOUGHT = "reasoning_content"
_OTHER_NAMES = ("reasoning", "thinking")
"""What OpenRouter's clients and gpt-oss' template call it."""
THOUGHTFUL: Mapping[str, Any] = {
    "role": "assistant",
    "content": "ANSWERTEXT",
    THOUGHT: "THOUGHTTEXT",
}
"""A turn by which a template shows whether it takes thoughts as parts of the content."""


def name_as_others_do(turn: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a turn with its thought under each name that templates read."""
    if not turn.get(THOUGHT):
        return turn
    return {**dict.fromkeys(_OTHER_NAMES, turn[THOUGHT]), **turn}


def write_as_part(turn: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a turn with its thought as the first part of its content (Mistral's)."""
    if not turn.get(THOUGHT):
        return turn
    content = turn.get("content") or []
    rest = [{"type": "text", "text": content}] if isinstance(content, str) else content
    others = {name: value for name, value in turn.items() if name != THOUGHT}
    return {**others, "content": [{"type": "thinking", "thinking": turn[THOUGHT]}, *rest]}


def ask_in_words(messages: Sequence[ChatMessage], word: str) -> Sequence[ChatMessage]:
    """Return messages whose system text ends with a word for the template; as they are without a word."""
    if not word:
        return messages
    first = messages[0] if messages else None
    if first is None or first["role"] != "system":
        return [{"role": "system", "content": word}, *messages]
    return [{**first, "content": f"{first['content']}\n{word}"}, *messages[1:]]
