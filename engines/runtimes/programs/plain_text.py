"""Keeps people's texts free of control tokens where a server reads texts and not tokens.

Such a server turns the text of a control token into that token wherever it stands. A blank behind its first
character makes it ordinary text again: the model reads nearly the same, and no turn begins or ends in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from engines.exceptions import UnsafeModelFileError
from engines.runtimes.base import ChatMessage
from engines.runtimes.text.control_marks import LITERAL, strip_enclosures
from engines.runtimes.text.response_format import Json

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
MAX_BYTES = 128 * 1024**2


class MarkBreaker:
    """Breaks the control tokens of one model wherever a text holds them."""

    def __init__(self, marks: Iterable[str]) -> None:
        # Those of one character are letters to somebody; the longest first, where one begins another.
        known = sorted({mark for mark in marks if len(mark) > 1}, key=len, reverse=True)
        self._found = re.compile("|".join(map(re.escape, known))) if known else None

    @classmethod
    def of_folder(cls, folder: Path) -> MarkBreaker:
        """Read a model's folder; UnsafeModelFileError for a file that cannot be read."""
        return cls(mark for name in FILES for mark in _marks(_read(folder / name)))

    def break_all(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """Return messages whose texts hold no control token."""
        return [self._break_message(message) for message in messages]

    def break_text(self, text: str) -> str:
        """Return a text without control tokens; breaking one may show another."""
        while self._found is not None and self._found.search(text):
            text = self._found.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return text

    def break_tools(self, tools: Iterable[Json]) -> tuple[Json, ...]:
        """Return descriptions of tools that hold no control token."""
        return tuple(self._break_value(tool) for tool in tools)

    def break_literals(self, prompt: str) -> str:
        """Return a prompt of somebody's own chat format, of which only the format keeps its control tokens."""
        return strip_enclosures(LITERAL.sub(lambda found: self.break_text(found[1]), prompt))

    def _break_message(self, message: ChatMessage) -> ChatMessage:
        broken = cast(ChatMessage, self._break_value(message))
        if calls := message.get("tool_calls"):
            broken["tool_calls"] = [self._break_call(call) for call in calls]
        return broken

    def _break_call(self, call: Mapping[str, Any]) -> Any:
        """Break the marks of a call; the server reads its arguments, in which they may be JSON's escapes."""
        broken = self._break_value(call)
        with suppress(ValueError):
            arguments = json.loads(call["function"]["arguments"])
            if (plain := self._break_value(arguments)) != arguments:
                broken["function"]["arguments"] = json.dumps(plain, ensure_ascii=False)
        return broken

    def _break_value(self, value: object) -> Any:
        if isinstance(value, str):
            return self.break_text(value)
        if isinstance(value, Mapping):
            return {self._break_value(key): self._break_value(one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._break_value(one) for one in value]
        return value


def _read(path: Path) -> Any:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        text = file.read(MAX_BYTES + 1)
    try:
        return json.loads(text) if len(text) <= MAX_BYTES else _refuse(path)
    except (ValueError, RecursionError):
        return _refuse(path)


def _refuse(path: Path) -> Any:
    raise UnsafeModelFileError(
        f"{path.name} of {path.parent.name} cannot be read; bring the model to this host again."
    )


def _marks(content: Any) -> Iterator[str]:
    """Yield the texts of the tokens that one of the files adds to the vocabulary."""
    if not isinstance(content, dict):
        return
    added = content.get("added_tokens") or ()
    decoder = content.get("added_tokens_decoder")
    entries = [*added] if isinstance(added, list) else []
    entries += decoder.values() if isinstance(decoder, dict) else ()
    entries += [value for name, value in content.items() if name.endswith("_token")]
    more = content.get("additional_special_tokens")
    entries += more if isinstance(more, list) else ()
    for entry in entries:
        text = entry.get("content") if isinstance(entry, dict) else entry
        if isinstance(text, str) and text.strip():
            yield text
