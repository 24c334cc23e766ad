"""A conversation rendered in variants whose differences show how a template writes its parts."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from engines.exceptions import InvalidRequestError

PROBE_CPU_SECONDS = 10.0
"""For all renderings of one template; what is not known then stays unknown."""
USER, CONTENT, REASON = "USERTEXT", "CONTENTTEXT", "REASONTEXT"
NAMES = ("FUNCALPHA", "FUNCBETA")
IDS = ("callid001", "callid002")
"""Nine letters and digits: Mistral's templates take no others."""
KEYS = ("keyone", "keytwo")
ARGUMENTS: tuple[dict[str, Any], ...] = (
    {KEYS[0]: "VALONE", KEYS[1]: 77},
    {KEYS[0]: "VALTWO", KEYS[1]: 88},
)
_SCHEMA = {
    "type": "object",
    "properties": {
        KEYS[0]: {"type": "string", "description": "a text"},
        KEYS[1]: {"type": "integer", "description": "a number"},
    },
    "required": [KEYS[0]],
}
TOOLS: tuple[dict[str, Any], ...] = tuple(
    {
        "type": "function",
        "function": {"name": name, "description": "a tool", "parameters": _SCHEMA},
    }
    for name in NAMES
)
Message = dict[str, Any]


class RenderTemplate(Protocol):
    """A template: messages to a prompt, open for an answer or not; InvalidRequestError."""

    def __call__(
        self, messages: Sequence[Any], *, add_generation_prompt: bool, variables: Mapping[str, Any]
    ) -> str: ...


@dataclass(slots=True)
class Probe:
    """Renders probes of one template within one limit of CPU time."""

    render: RenderTemplate
    source: str
    """The template's own text."""
    always: dict[str, Any] = field(default_factory=dict)
    """Variables without which the template renders nothing."""
    _until: float = field(default_factory=lambda: time.process_time() + PROBE_CPU_SECONDS)

    def mentions(self, word: str) -> bool:
        return re.search(rf"\b{re.escape(word)}\b", self.source) is not None

    def render_whole(
        self, *messages: Message, is_open: bool = False, system: str = "", **variables: Any
    ) -> str | None:
        """Return the prompt; None where the template refuses."""
        if time.process_time() > self._until:
            return None
        before = [{"role": "system", "content": system}] if system else []
        try:
            return self.render(
                [*before, {"role": "user", "content": USER}, *messages],
                add_generation_prompt=is_open,
                variables={**self.always, **variables},
            )
        except InvalidRequestError:
            return None

    def render_turn(
        self, *messages: Message, is_open: bool = False, system: str = "", **variables: Any
    ) -> str | None:
        """Return what a prompt has after the user's text; None where the template refuses."""
        prompt = self.render_whole(*messages, is_open=is_open, system=system, **variables)
        if prompt is None or USER not in prompt:
            return None
        return prompt.rpartition(USER)[2]


def make_answer(content: Any = CONTENT, **more: Any) -> Message:
    """Return an assistant's turn."""
    return {"role": "assistant", "content": content, **more}


def make_thoughtful(content: Any = CONTENT, **more: Any) -> Message:
    """Return an assistant's turn with a reasoning, under all the names that templates read."""
    named = dict.fromkeys(("reasoning_content", "reasoning", "thinking"), REASON)
    return make_answer(content, **named, **more)


def make_parts() -> Message:
    """Return an assistant's turn whose content has typed parts (Magistral)."""
    return make_answer(
        [{"type": "thinking", "thinking": REASON}, {"type": "text", "text": CONTENT}]
    )


def make_calls(count: int, *, as_text: bool, ids: Sequence[str] = IDS) -> list[Message]:
    """Return the first one or both calls."""
    return [
        {
            "id": ids[number],
            "type": "function",
            "function": {
                "name": NAMES[number],
                "arguments": json.dumps(ARGUMENTS[number]) if as_text else ARGUMENTS[number],
            },
        }
        for number in range(count)
    ]
