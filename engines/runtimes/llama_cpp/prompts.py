"""Prompts in an engine's child: a model's own template, and its text as tokens; the weights need not be loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llama_cpp import llama_cpp as api

from engines.runtimes.base import ChatMessage
from engines.runtimes.child.chat_template import ORDINARY, WITH_TOOLS, ChatTemplates
from engines.runtimes.llama_cpp.native import LoadedModel
from engines.runtimes.llama_cpp.prompt_reader import PromptReader
from engines.runtimes.notation.derive import derive_notation
from engines.runtimes.notation.description import Notation
from engines.runtimes.notation.families import Family
from engines.runtimes.notation.reader import PromptEnd, read_prompt_end
from engines.runtimes.templates.conversations import ConversationRenderer
from engines.runtimes.templates.takings import find_losses
from engines.runtimes.templates.thoughts import ask_in_words
from engines.runtimes.text.generation import Effort
from engines.runtimes.text.response_format import Json


@dataclass(frozen=True, slots=True)
class Prompt:
    """A tokenized prompt."""

    tokens: Sequence[int]
    end: PromptEnd
    """What it has written of the answer."""


class PromptMaker:
    """Writes and reads the prompts of one model, as its own template and its vocabulary say."""

    def __init__(self, model: LoadedModel, context_length: int, family: Family) -> None:
        """``context_length`` in tokens: no longer prompt is read."""
        self.context_length = context_length
        self._model = model
        self._templates = ChatTemplates(_template_sources(model), _template_tokens(model))
        self._family = family
        self.notation = self._derive()
        """What this model is told and what is read of it."""
        self._conversations = ConversationRenderer(
            self._render, self.notation.calls, takes_tools=self.notation.describes_tools
        )
        self.marks = _mark_tokens(model, self.notation)
        """Control tokens that are read from an answer, with their texts."""
        self._reader = PromptReader(model)

    def _derive(self) -> Notation:
        if not self._templates:
            return self._family.notation
        return derive_notation(self._render_probe, self._templates.source, self._family)

    def _render_probe(
        self,
        messages: Sequence[Any],
        *,
        add_generation_prompt: bool,
        variables: Mapping[str, Any],
    ) -> str:
        given = dict(variables)
        tools = given.pop("tools", None)
        given["add_generation_prompt"] = add_generation_prompt
        return self._render(messages, tools, given)

    @property
    def has_template(self) -> bool:
        return bool(self._templates)

    def format(
        self,
        messages: Sequence[ChatMessage],
        *,
        thinking: bool | None = None,
        effort: Effort | None = None,
        tools: Sequence[Json] = (),
    ) -> str:
        """Messages through the model's own template (sandboxed), for ``read``.

        Marks in what people wrote are enclosed. InvalidRequestError if the template refuses.
        """
        variables = self.notation.switch_variables(thinking=thinking, effort=effort)
        messages = ask_in_words(messages, self.notation.switch_words(thinking=thinking))
        return self._conversations.render_marked(self._reader.marks, messages, tools, variables)

    def find_losses(self) -> list[str]:
        """Return what of conversations the template loses; nothing where there is no template."""
        return find_losses(self._conversations, {}) if self.has_template else []

    def _render(
        self, messages: Sequence[Any], tools: Sequence[Json] | None, variables: Mapping[str, Any]
    ) -> str:
        return self._templates.render(messages, tools, **variables)

    def read(self, text: str, *, from_template: bool = True) -> Prompt:
        """Tokenize a prompt, with the beginning-of-text in front where the file asks for it.

        Any thread may call it. InvalidRequestError for a text that is too long for the context.
        """
        self._reader.require_may_fit(text, self.context_length)
        return self._read(text, from_template=from_template)

    def count(self, text: str, *, from_template: bool) -> int:
        """Tokens of a prompt as ``read`` reads it, also of one that does not fit."""
        return len(self._read(text, from_template=from_template).tokens)

    def _read(self, text: str, *, from_template: bool = True) -> Prompt:
        tokens = self._reader.tokens(text)
        begin = int(api.llama_vocab_bos(self._model.vocab))
        # The file says it, not the template, which may write one too: a second one in front would move
        # every position and change the answer.
        wanted = api.llama_vocab_get_add_bos(self._model.vocab)
        if wanted and begin >= 0 and tokens[:1] != [begin]:
            tokens = [begin, *tokens]
        end = read_prompt_end(text, self.notation, from_template=from_template)
        return Prompt(tokens, end)


def _mark_tokens(model: LoadedModel, notation: Notation) -> dict[int, bytes]:
    """Control tokens within marks, with their texts: they would be swallowed."""
    found: dict[int, bytes] = {}
    for mark in notation.marks:
        tokens = model.tokenize(mark, add_special=False, parse_special=True)
        if len(tokens) == 1:
            found[tokens[0]] = mark.encode()
            continue
        # The rest is ordinary text, which llama.cpp writes by itself.
        found |= {
            token: text.encode()
            for token in tokens
            if not model.piece(token) and (text := model.token_text(token)) in mark
        }
    return found


def _template_tokens(model: LoadedModel) -> dict[str, str]:
    """The tokens that a template may write."""
    return {
        "eos_token": model.token_text(int(api.llama_vocab_eos(model.vocab))),
        "bos_token": model.token_text(int(api.llama_vocab_bos(model.vocab))),
    }


def _template_sources(model: LoadedModel) -> dict[str, str]:
    """The model's own chat templates by name: a file may have a second one for messages with tools."""
    named = {ORDINARY: None, WITH_TOOLS: WITH_TOOLS.encode()}
    found: dict[str, bytes | None] = {
        name: api.llama_model_chat_template(model.handle, key) for name, key in named.items()
    }
    sources = {name: (given or b"").decode("utf-8", "replace") for name, given in found.items()}
    # Of a file without one llama.cpp may give the name of a template of its own.
    return {name: source for name, source in sources.items() if "{" in source}
