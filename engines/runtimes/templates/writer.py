"""Conversations written by a model's own chat template, in its engine's child."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engines.runtimes.base import ChatMessage
from engines.runtimes.notation.derive import derive_notation
from engines.runtimes.notation.families import Family
from engines.runtimes.templates.conversations import ConversationRenderer
from engines.runtimes.templates.takings import find_losses
from engines.runtimes.templates.thoughts import ask_in_words
from engines.runtimes.text.control_marks import ControlMarks
from engines.runtimes.text.generation import Effort
from engines.runtimes.text.response_format import Json


class Template(Protocol):
    """A model's template as it is rendered within limits; false where the model has none."""

    source: str

    def __bool__(self) -> bool: ...

    def render(self, messages: Sequence[Any], tools: Sequence[Any] | None, **variables: Any) -> str:
        """Return the prompt; InvalidRequestError where the template refuses."""
        ...


class TemplateWriter:
    """Writes prompts by one template, and knows the notation that it shows."""

    def __init__(self, template: Template, family: Family, control_marks: ControlMarks) -> None:
        """``control_marks`` are the model's; ``family`` says how it writes where no template does."""
        self._template = template
        self._control_marks = control_marks
        self.notation = (
            derive_notation(self._render_probe, template.source, family)
            if template
            else family.notation
        )
        """What this model is told and what is read of it."""
        self._conversations = ConversationRenderer(
            self._render, self.notation.calls, takes_tools=self.notation.describes_tools
        )

    @property
    def has_template(self) -> bool:
        return bool(self._template)

    def format(
        self,
        messages: Sequence[ChatMessage],
        *,
        thinking: bool | None = None,
        effort: Effort | None = None,
        tools: Sequence[Json] = (),
    ) -> str:
        """Messages through the model's own template (sandboxed), to be read as a template's prompt.

        Marks in what people wrote are enclosed. InvalidRequestError if the template refuses.
        """
        variables = self.notation.switch_variables(thinking=thinking, effort=effort)
        messages = ask_in_words(messages, self.notation.switch_words(thinking=thinking))
        return self._conversations.render_marked(self._control_marks, messages, tools, variables)

    def find_losses(self) -> list[str]:
        """Return what of conversations the template loses; nothing where there is no template."""
        return find_losses(self._conversations, {}) if self.has_template else []

    def _render(
        self, messages: Sequence[Any], tools: Sequence[Json] | None, variables: Mapping[str, Any]
    ) -> str:
        return self._template.render(messages, tools, **variables)

    def _render_probe(
        self,
        messages: Sequence[Any],
        *,
        add_generation_prompt: bool,
        variables: Mapping[str, Any],
    ) -> str:
        given = {"tools": None, **variables, "add_generation_prompt": add_generation_prompt}
        return self._template.render(messages, **given)
