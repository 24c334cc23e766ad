"""A tokenizer's chat templates, compiled within limits; imported in an engine's child only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engines.exceptions import EngineError, InvalidRequestError
from engines.gguf.limits import MAX_TEMPLATE_BYTES
from engines.runtimes.child.chat_template import ChatTemplate
from engines.runtimes.child.template_limits import (
    limit_compilation,
    limit_rendering,
    require_prompt_size,
)

ORDINARY, WITH_TOOLS = "default", "tool_use"
"""Names of templates where a model has several; the others are for uses that SAM has not."""


class ChatTemplates:
    """The template of a model, or its two: one for messages, one for messages with tools."""

    def __init__(self, tokenizer: Any) -> None:
        """Compile them; EngineError for one that is not valid or too long."""
        sources = _sources(tokenizer.chat_template)
        tokens: dict[str, str] = tokenizer.special_tokens_map
        self._compiled = {name: _compile(source, tokens) for name, source in sources.items()}
        self.source = "\n".join(sources.values())

    def __bool__(self) -> bool:
        return bool(self._compiled)

    def render(self, messages: Sequence[Any], tools: Sequence[Any] | None, **variables: Any) -> str:
        """The prompt, open for an answer; InvalidRequestError where the template refuses."""
        template = self._compiled.get(WITH_TOOLS) if tools else None
        template = template or self._compiled.get(ORDINARY)
        if template is None:
            raise InvalidRequestError(
                "This model has no chat template; set the chat format of its family."
            )
        with limit_rendering():
            prompt = template.render(list(messages), tools, **variables)
        return require_prompt_size(prompt)


def _sources(given: object) -> dict[str, str]:
    """Templates by name; a tokenizer has none, one, or several with names."""
    if isinstance(given, dict):
        return {name: str(given[name]) for name in (ORDINARY, WITH_TOOLS) if given.get(name)}
    return {ORDINARY: str(given)} if given else {}


def _compile(source: str, tokens: dict[str, str]) -> ChatTemplate:
    if len(source) > MAX_TEMPLATE_BYTES:
        raise EngineError(
            f"The model's chat template has {len(source)} characters and the limit is "
            f"{MAX_TEMPLATE_BYTES}. Use another model."
        )
    with limit_compilation():
        return ChatTemplate(source, **tokens)
