"""Prompts in an engine's child: a model's own template, and its text as tokens; the weights need not be loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llama_cpp import llama_cpp as api

from engines.runtimes.child.chat_template import ORDINARY, WITH_TOOLS, ChatTemplates
from engines.runtimes.llama_cpp.native import LoadedModel
from engines.runtimes.llama_cpp.prompt_reader import PromptReader
from engines.runtimes.notation.description import Notation
from engines.runtimes.notation.families import Family
from engines.runtimes.notation.reader import PromptEnd, read_prompt_end
from engines.runtimes.templates.writer import TemplateWriter


@dataclass(frozen=True, slots=True)
class Prompt:
    """A tokenized prompt."""

    tokens: Sequence[int]
    end: PromptEnd
    """What it has written of the answer."""


class PromptMaker(TemplateWriter):
    """Writes and reads the prompts of one model, as its own template and its vocabulary say."""

    def __init__(self, model: LoadedModel, context_length: int, family: Family) -> None:
        """``context_length`` in tokens: no longer prompt is read."""
        self.context_length = context_length
        self._model = model
        self._reader = PromptReader(model)
        templates = ChatTemplates(_template_sources(model), _template_tokens(model))
        super().__init__(templates, family, self._reader.marks)
        self.marks = _mark_tokens(model, self.notation)
        """Control tokens that are read from an answer, with their texts."""

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
