"""Generation in an engine's child: prompt in, text pieces out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llama_cpp import llama_cpp as api

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.child.chat_template import ChatTemplate
from engines.runtimes.child.main import Job
from engines.runtimes.child.template_limits import (
    limit_compilation,
    limit_rendering,
    require_prompt_size,
)
from engines.runtimes.llama_cpp.lora import AdapterCache, AdapterRefs
from engines.runtimes.llama_cpp.native import ContextShape, LoadedModel, NativeContext
from engines.runtimes.llama_cpp.output import Answer
from engines.runtimes.llama_cpp.prompt_reader import PromptReader
from engines.runtimes.llama_cpp.sampler import sampler_of
from engines.runtimes.llama_cpp.scheduler import Scheduler, Slot
from engines.runtimes.notation.derive import derive_notation
from engines.runtimes.notation.description import Notation
from engines.runtimes.notation.families import UNKNOWN, Family
from engines.runtimes.notation.reader import AnswerReader, PromptEnd, read_prompt_end
from engines.runtimes.templates.conversations import ConversationRenderer
from engines.runtimes.templates.takings import find_losses
from engines.runtimes.text.generation import GenerationOptions, require_answer_room
from engines.runtimes.text.response_format import Json

PROMPT_BATCH = 128
"""Tokens of a prompt in one batch; all other answers wait for it, and get a step between two."""
GPU_PROMPT_BATCH = 512


@dataclass(frozen=True, slots=True)
class Prompt:
    """A tokenized prompt."""

    tokens: Sequence[int]
    end: PromptEnd
    """What it has written of the answer."""


@dataclass(frozen=True, slots=True)
class ContextLayout:
    """The context of an engine's requests."""

    length: int
    """Tokens; 0 means as many as the model was trained with."""
    parallel: int
    """Requests answered at the same time."""
    on_gpu: bool = False
    apart: bool = False
    """Whether each request has a cache and batches of its own, so that others cannot change its bits."""


class Generator:
    """Generates with one context for all requests.

    What is cached between requests is reused for their owner alone: one person's prompt leaves no
    trace for the next.
    """

    def __init__(
        self, model: LoadedModel, layout: ContextLayout, threads: int, family: Family = UNKNOWN
    ) -> None:
        length = min(layout.length or model.context_limit, model.context_limit)
        shape = ContextShape(
            context=length,
            batch=min(GPU_PROMPT_BATCH if layout.on_gpu else PROMPT_BATCH, length),
            sequences=min(layout.parallel, int(api.llama_max_parallel_sequences())),
            threads=threads,
            apart=layout.apart,
        )
        self._model = model
        self._context = NativeContext(model, shape)
        self._adapters = AdapterCache(model, self._context)
        if not self._context.memory:
            raise EngineError(
                "This model only embeds text; choose a chat model to generate, or `sam embed` for vectors."
            )
        self.context_length = int(api.llama_n_ctx_seq(self._context.handle))
        self._template = _chat_template(model)
        self._family = family
        self.notation = self._derive(_template_source(model))
        """What this model is told and what is read of it."""
        self._conversations = ConversationRenderer(
            self._render, self.notation.calls, takes_tools=self.notation.describes_tools
        )
        self._marks = _mark_tokens(model, self.notation)
        self._reader = PromptReader(model)
        self._scheduler = Scheduler(model, self._context, self._adapters, self._piece)

    def _piece(self, token: int) -> bytes:
        return self._marks.get(token) or self._model.piece(token)

    def _derive(self, source: str) -> Notation:
        if self._template is None:
            return self._family.notation
        return derive_notation(self._render_probe, source, self._family)

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
        return self._template is not None

    @property
    def is_batch_invariant(self) -> bool:
        """Whether an answer does not depend on the other answers computed at the time."""
        return self._context.shape.apart

    @property
    def adapter_count(self) -> int:
        return len(self._adapters)

    def load_adapters(self, wanted: AdapterRefs) -> None:
        """Load these adapters; AdapterMismatchError for one that llama.cpp refuses."""
        self._adapters.use(wanted)

    def format(
        self,
        messages: Sequence[ChatMessage],
        *,
        thinking: bool | None = None,
        tools: Sequence[Json] = (),
    ) -> str:
        """Messages through the model's own template (sandboxed), for ``read``.

        Marks in what people wrote are enclosed. InvalidRequestError if the template refuses.
        """
        marks = self._reader.marks
        prompt = self._conversations.render(
            marks.enclose(messages),
            marks.enclose_tools(tools),
            self.notation.switch_variables(thinking=thinking),
        )
        return marks.join_escaped(prompt)

    def find_losses(self) -> list[str]:
        """Return what of conversations the template loses; nothing where there is no template."""
        return find_losses(self._conversations, {}) if self.has_template else []

    def _render(
        self, messages: Sequence[Any], tools: Sequence[Json] | None, variables: Mapping[str, Any]
    ) -> str:
        if self._template is None:
            raise InvalidRequestError(
                "This model has no chat template; set the chat format of its family."
            )
        with limit_rendering():
            prompt = self._template.render(messages, tools, **variables)
        return require_prompt_size(prompt)

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

    def begin(
        self, job: Job, prompt: Prompt, options: GenerationOptions, adapters: AdapterRefs
    ) -> None:
        """Queue an answer; its pieces and its end go to ``job`` while ``proceed`` is called."""
        room = require_answer_room(len(prompt.tokens), self.context_length, options.max_tokens)
        answer = Answer(AnswerReader.of(self.notation, options, prompt.end), job.emit)
        sampler = sampler_of(self._model, options, self.notation, prompt.end)
        slot = Slot(job, list(prompt.tokens), room, sampler, answer, adapters, options.owner)
        self._scheduler.add(slot)

    def proceed(self) -> bool:
        """Compute the next tokens of all answers; False when there are none."""
        return self._scheduler.step()


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


def _chat_template(model: LoadedModel) -> ChatTemplate | None:
    source = _template_source(model)
    if not source:
        return None
    with limit_compilation():
        return ChatTemplate(
            source,
            eos_token=model.token_text(int(api.llama_vocab_eos(model.vocab))),
            bos_token=model.token_text(int(api.llama_vocab_bos(model.vocab))),
        )


def _template_source(model: LoadedModel) -> str:
    """The model's own chat template; empty when it has none."""
    source: bytes | None = api.llama_model_chat_template(model.handle, None)
    return (source or b"").decode("utf-8", "replace")
