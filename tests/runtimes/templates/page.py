"""What each real template takes, as ``docs/families.md`` has it: ``python -m tests.runtimes.templates.page``
writes the page anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engines.exceptions import InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.child.chat_template import ChatTemplate
from engines.runtimes.child.template_limits import limit_rendering
from engines.runtimes.notation.derive import derive_notation
from engines.runtimes.notation.description import CallForm, Notation
from engines.runtimes.notation.families import FAMILIES, UNKNOWN, Family
from engines.runtimes.templates.conversations import ConversationRenderer
from engines.runtimes.templates.forms import Form
from engines.runtimes.templates.takings import KINDS
from engines.runtimes.text.response_format import Json
from tests.fixtures_templates import ensure_templates, read_templates

PAGE = Path(__file__).resolve().parents[3] / "docs" / "families.md"
BEGIN, END = "<!-- table -->\n", "<!-- end -->\n"
AS_IT_IS = "as it is"
FAMILY_MARKS = {
    "SmolLM": "smollm",
    "Nemotron": "nemotron",
    "DeepSeek": "deepseek",
    "Qwen": "qwen",
    "mistral": "mistral",
    "gemma": "gemma",
    "granite": "granite",
    "Phi": "phi",
    "Llama-3": "llama",
}
"""The family that a curator would choose, by what the name of a template has in it; the first counts."""


@dataclass(frozen=True)
class Tried:
    """A publisher's template, and how SAM gives it conversations."""

    name: str
    source: str

    @property
    def family(self) -> Family:
        known = (key for mark, key in FAMILY_MARKS.items() if mark.lower() in self.name.lower())
        return FAMILIES.get(next(known, ""), UNKNOWN)

    @cached_property
    def template(self) -> ChatTemplate:
        return ChatTemplate(self.source, bos_token="<s>", eos_token="</s>")

    @cached_property
    def notation(self) -> Notation:
        return derive_notation(self._render_probe, self.source, self.family)

    @cached_property
    def conversations(self) -> ConversationRenderer:
        notation = self.notation
        return ConversationRenderer(
            self._render, notation.calls, takes_tools=notation.describes_tools
        )

    def render(self, messages: Sequence[ChatMessage], tools: Sequence[Json] = ()) -> str:
        """The prompt as an engine with this template reads it."""
        return self.conversations.render(messages, tools, {})

    def form(self, kind: str) -> Form:
        """How it gets conversations of a kind; InvalidRequestError where it loses a part of them."""
        return self.conversations.form_for(KINDS[kind].messages, KINDS[kind].tools, {})

    def _render_probe(
        self,
        messages: Sequence[Any],
        *,
        add_generation_prompt: bool,
        variables: Mapping[str, Any],
    ) -> str:
        given = {"tools": None, **variables, "add_generation_prompt": add_generation_prompt}
        return self._render(messages, given.pop("tools"), given)

    def _render(
        self, messages: Sequence[Any], tools: Sequence[Json] | None, variables: Mapping[str, Any]
    ) -> str:
        with limit_rendering():
            return self.template.render(messages, tools, **variables)


def _told(kind: str) -> Callable[[Tried], str]:
    def tell(tried: Tried) -> str:
        try:
            return tried.form(kind).describe() or AS_IT_IS
        except InvalidRequestError:
            return "**lost**"

    return tell


def _tools(tried: Tried) -> str:
    if not tried.form("a call and its result").tools_as_text:
        return "by the template"
    is_described = tried.notation.describes_tools
    return "written out, for it shows no calls" if is_described else "written out"


def _calls(tried: Tried) -> str:
    notation = tried.notation
    calls = notation.calls
    mark = (calls.section[0] or calls.opening or calls.after_name).strip().partition("\n")[0]
    shown = mark.replace("|", r"\|")
    words = {
        CallForm.OBJECT: "JSON",
        CallForm.NAMED: "name, JSON",
        CallForm.TAGGED: "name, tags",
        CallForm.PYTHON: "Python",
        CallForm.LINES: "Python, in lines",
        CallForm.QUOTED: "name, quotes",
    }[calls.form]
    return f"{words} `{shown}`" if mark else f"{words}, bare"


def _reasoning(tried: Tried) -> str:
    channels = tried.notation.channels
    marks = (channels.reasoning,) if channels else tried.notation.reasoning
    return " ".join(f"`{mark}`" for mark in marks if mark).replace("|", r"\|") or "—"


def _switch(tried: Tried) -> str:
    switch = tried.notation.switch
    if switch is None:
        return "—"
    return f"`{switch.variable}`" if switch.variable else f"`{switch.off}` in the system text"


def _efforts(tried: Tried) -> str:
    efforts = tried.notation.efforts
    if efforts is None:
        return "—"
    return f"`{efforts.variable}`: {', '.join(efforts.levels) or 'tokens'}"


def _begin(tried: Tried) -> str:
    return "the template" if tried.render(KINDS["a question"].messages).startswith("<s>") else "—"


COLUMNS: Mapping[str, Callable[[Tried], str]] = {
    "template": lambda tried: tried.name,
    "family": lambda tried: tried.family.name or "—",
    "system text": _told("system text"),
    "later system text": _told("later system text"),
    "two user turns": _told("two user turns in a row"),
    "tools and calls": _tools,
    "two results": _told("two results in a row"),
    "calls": _calls,
    "reasoning": _reasoning,
    "switch": _switch,
    "how much to think": _efforts,
    "begin-of-text by": _begin,
}
"""What the page says of a template, by the title of its column."""


def list_tried(templates: Mapping[str, str]) -> list[Tried]:
    """Templates by name, to be tried."""
    return [Tried(name, source) for name, source in templates.items()]


def table(rows: Sequence[Tried]) -> str:
    """The page's table of these templates."""
    lines = [" | ".join(COLUMNS), "|".join("---" for _ in COLUMNS)]
    lines += [" | ".join(column(tried) for column in COLUMNS.values()) for tried in rows]
    return "".join(f"| {line} |\n" for line in lines)


def page(text: str, made: str) -> str:
    """The page with another table."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + made + END + rest.split(END)[1]


if __name__ == "__main__":
    folder, trouble = ensure_templates()
    if trouble:
        sys.exit(trouble)
    written = page(PAGE.read_text(encoding="utf-8"), table(list_tried(read_templates(folder))))
    PAGE.write_text(written, encoding="utf-8")
