"""Tells the control tokens that a template writes from their look-alikes in what people write.

A mark such as ``<|im_end|>`` inside a person's text is enclosed in two noncharacters before it is
rendered. The text between them stays as it is, so a template that looks for ``</think>`` still finds it;
whoever tokenizes the rendered prompt reads a mark as a control token only where it is not enclosed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast

from engines.runtimes.base import ChatMessage
from engines.runtimes.text.response_format import Json

OPEN, CLOSE = "\ufdd0", "\ufdd1"
"""Around one mark. Unicode keeps these code points for the use inside a program: no text has them."""
LITERAL_OPEN, LITERAL_CLOSE = "\ufdd2", "\ufdd3"
"""Around a text in which nothing is a mark, whatever the model's marks are."""
LITERAL = re.compile(f"{LITERAL_OPEN}([^{LITERAL_CLOSE}]*){LITERAL_CLOSE}")
_ENCLOSING = re.compile("[\ufdd0-\ufdd3]")
_LOOKS_LIKE_A_MARK = re.compile(r"[<\[].*[>\]]", re.DOTALL)
# Gemma's vocabulary has them as added tokens: they format an answer and control nothing.
_HTML = re.compile(
    r"</?(a|b|blockquote|caption|code|em|h[1-6]|i|img|li|ol|p|strong|sub|sup|table|tbody|td|tfoot|th"
    r"|thead|tr|u|ul)>"
)


class Fragment(NamedTuple):
    """A stretch of a rendered prompt."""

    text: str
    is_mark: bool


def looks_like_a_mark(token: str) -> bool:
    """Whether an added token that is not declared a control token is one for the model."""
    return _LOOKS_LIKE_A_MARK.fullmatch(token) is not None and _HTML.fullmatch(token) is None


def make_literal(text: str) -> str:
    """Return a text that is tokenized without control tokens, to be put into a raw prompt."""
    text = strip_enclosures(text)
    return f"{LITERAL_OPEN}{text}{LITERAL_CLOSE}" if text else text


def strip_enclosures(text: str) -> str:
    """Return the text as people see it."""
    return _ENCLOSING.sub("", text)


class ControlMarks:
    """The marks of one vocabulary."""

    def __init__(self, control: Collection[str], added: Collection[str] = ()) -> None:
        """``added`` are those that a model writes into its answers, and that its messages may hold."""
        self._any = _pattern({*control, *added})
        self._control = _pattern(control)
        mark = self._any.pattern
        self._scanned = re.compile(
            f"{LITERAL_OPEN}(?P<literal>[^{LITERAL_CLOSE}]*){LITERAL_CLOSE}"
            f"|{OPEN}(?P<enclosed>{mark}){CLOSE}|(?P<mark>{mark})|[{OPEN}-{LITERAL_CLOSE}]"
        )
        written = {json.dumps(mark)[1:-1] for mark in (*control, *added)}
        self._escaped = re.compile(rf"\\ufdd0({mark}|{_pattern(written).pattern})\\ufdd1")

    def enclose(self, messages: Collection[ChatMessage]) -> list[ChatMessage]:
        """Return messages whose marks are enclosed; an assistant's keep those of its own answers."""
        return [self._enclose_message(message) for message in messages]

    def enclose_tools(self, tools: Collection[Json]) -> list[Json]:
        """Return descriptions of tools whose marks are enclosed."""
        return [cast(Json, self._enclose_value(tool, self._any)) for tool in tools]

    def join_escaped(self, prompt: str) -> str:
        r"""Restore enclosures that a template wrote as JSON, ``\ufdd0`` for the character."""
        if "\\ufdd0" not in prompt:
            return prompt
        return self._escaped.sub(f"{OPEN}\\1{CLOSE}", prompt)

    def split(self, prompt: str) -> Iterator[Fragment]:
        """Yield the marks that are control tokens and the text between them, without enclosures."""
        text: list[str] = []
        at = 0
        for found in self._scanned.finditer(prompt):
            text.append(prompt[at : found.start()])
            at = found.end()
            if found["mark"] is None:
                # What a template left of an enclosure says nothing, and two halves join nothing.
                text.append(found["literal"] or found["enclosed"] or "")
                continue
            if any(text):
                yield Fragment("".join(text), is_mark=False)
            text.clear()
            yield Fragment(found["mark"], is_mark=True)
        text.append(prompt[at:])
        if any(text):
            yield Fragment("".join(text), is_mark=False)

    def is_in(self, text: str) -> bool:
        """Whether a tokenizer that parses marks would find one in this text."""
        return self._any.search(text) is not None

    def break_apart(self, text: str) -> list[str]:
        """Cut a text inside each mark: some are parsed even by a tokenizer that parses no control."""
        cuts = [found.start() + 1 for found in self._any.finditer(text)]
        return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    def _enclose_message(self, message: ChatMessage) -> ChatMessage:
        marks = self._control if message["role"] == "assistant" else self._any
        fields: dict[str, Any] = dict(message)
        calls = fields.pop("tool_calls", None)
        enclosed = {name: self._enclose_value(value, marks) for name, value in fields.items()}
        if calls:
            enclosed["tool_calls"] = [self._enclose_call(call) for call in calls]
        return cast(ChatMessage, enclosed)

    def _enclose_call(self, call: Mapping[str, Any]) -> Any:
        """Enclose marks in a call; those in its arguments may be written as JSON's escapes."""
        result = self._enclose_value(call, self._any)
        with suppress(ValueError):
            arguments = json.loads(call["function"]["arguments"])
            enclosed = self._enclose_value(arguments, self._any)
            if enclosed == arguments:
                # As it was written: even blanks in it decide how it is tokenized.
                result["function"]["arguments"] = call["function"]["arguments"]
            else:
                result["function"]["arguments"] = json.dumps(enclosed, ensure_ascii=False)
        return result

    def _enclose_value(self, value: object, marks: re.Pattern[str]) -> Any:
        if isinstance(value, str):
            return marks.sub(f"{OPEN}\\g<0>{CLOSE}", strip_enclosures(value))
        if isinstance(value, Mapping):
            return {
                self._enclose_value(key, marks): self._enclose_value(inner, marks)
                for key, inner in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._enclose_value(inner, marks) for inner in value]
        return value


def _pattern(marks: Collection[str]) -> re.Pattern[str]:
    """Match any of the marks, the longest first; nothing at all where there are none."""
    longest_first = sorted(filter(None, marks), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
