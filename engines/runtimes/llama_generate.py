"""Generation in an engine's child: prompt in, text pieces out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from llama_cpp import llama_cpp as api
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from engines.exceptions import EngineError, InvalidRequestError
from engines.runtimes.base import ChatMessage
from engines.runtimes.families import UNKNOWN, Family, rendered
from engines.runtimes.generation import Generation, GenerationOptions, Piece
from engines.runtimes.llama_lora import AdapterShelf, Wanted
from engines.runtimes.llama_native import ABORTED, ContextShape, LoadedModel, NativeContext
from engines.runtimes.reasoning import ReasoningSplitter
from engines.runtimes.template_limits import (
    bounded_compilation,
    bounded_rendering,
    checked_prompt,
)
from engines.runtimes.text_stream import TextStream

BATCH = 512
PENALTY_WINDOW = 64
"""Tokens that penalties look back on."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads before it speaks."""

    tokens: Sequence[int]
    opens_reasoning: bool = False
    """Whether the prompt ends with the mark that begins the reasoning."""


class Generator:
    """Generates with one context, one request at a time.

    Nothing is kept between requests: the same prompt gives the same greedy answer, and one
    person's prompt leaves no trace for the next.
    """

    def __init__(
        self, model: LoadedModel, context_length: int, threads: int, family: Family = UNKNOWN
    ) -> None:
        length = min(context_length or model.context_limit, model.context_limit)
        shape = ContextShape(context=length, batch=min(BATCH, length), threads=threads)
        self._model = model
        self._context = NativeContext(model, shape)
        self._adapters = AdapterShelf(model, self._context)
        if not self._context.memory:
            raise EngineError("This model only embeds text; choose a chat model to generate.")
        self.context_length = int(api.llama_n_ctx(self._context.handle))
        self._template = _chat_template(model)
        self._family = family
        self._marks = _mark_tokens(model, family)

    @property
    def has_template(self) -> bool:
        return self._template is not None

    @property
    def adapter_count(self) -> int:
        return len(self._adapters)

    def use_adapters(self, wanted: Wanted) -> None:
        """Answer with exactly these adapters from now on; AdapterMismatchError for a strange one."""
        self._adapters.use(wanted)

    def format(self, messages: Sequence[ChatMessage], *, thinking: bool | None = None) -> str:
        """Messages through the model's own template (sandboxed); InvalidRequestError if it refuses."""
        return rendered(partial(self._render, thinking=thinking), messages, self._family)

    def _render(self, messages: Sequence[ChatMessage], *, thinking: bool | None) -> str:
        if self._template is None:
            raise InvalidRequestError(
                "This model has no chat template; set the chat format of its family."
            )
        given: list[Any] = list(messages)
        variables: dict[str, Any] = (
            {} if thinking is None else {self._family.thinking_variable: thinking}
        )
        with bounded_rendering():
            prompt = str(self._template(messages=given, **variables).prompt)
        return checked_prompt(prompt)

    def read(self, text: str, *, from_template: bool) -> Prompt:
        """A prompt's tokens; a template writes its own beginning-of-text, and one is enough."""
        tokens = self._model.tokenize(text, add_special=False, parse_special=True)
        begin = int(api.llama_vocab_bos(self._model.vocab))
        wanted = not from_template and api.llama_vocab_get_add_bos(self._model.vocab)
        if wanted and begin >= 0 and tokens[:1] != [begin]:
            tokens = [begin, *tokens]
        mark = self._family.reasoning[0]
        return Prompt(tokens, opens_reasoning=bool(mark) and text.rstrip().endswith(mark))

    def run(
        self,
        prompt: Prompt,
        options: GenerationOptions,
        emit: Callable[[object], None],
        cancelled: Callable[[], bool],
    ) -> Generation:
        """Generate; pieces go to ``emit``, their sum and the token ids come back.

        A piece of the answer is a text, one of the reasoning ``{"reasoning": text}``.
        """
        tokens = prompt.tokens
        room = self._room(len(tokens), options.max_tokens)
        splitter = ReasoningSplitter(self._family.reasoning, opened=prompt.opens_reasoning)
        text = _Answer(TextStream(options.stop), splitter, emit)
        sampler = _sampler(self._model, options)
        try:
            if not self._read_prompt(tokens, cancelled):
                return text.end(len(tokens), "cancelled")
            reason = self._answer(sampler, text, (len(tokens), room), cancelled)
            return text.end(len(tokens), reason)
        finally:
            api.llama_sampler_free(sampler)

    def _room(self, prompt: int, wanted: int) -> int:
        if not prompt:
            raise InvalidRequestError("The prompt is empty; write something to be answered.")
        room = self.context_length - prompt
        if room <= 0:
            raise InvalidRequestError(
                f"The prompt has {prompt} tokens and the context holds {self.context_length}; "
                "shorten the prompt or use an engine with a longer context."
            )
        return min(wanted, room) if wanted else room

    def _read_prompt(self, prompt: Sequence[int], cancelled: Callable[[], bool]) -> bool:
        """Compute the prompt; False when cancelled meanwhile."""
        self._context.clear()
        self._context.abort_when(cancelled)
        try:
            for start in range(0, len(prompt), self._context.shape.batch):
                part = prompt[start : start + self._context.shape.batch]
                if not self._decode(part, start):
                    return False
        finally:
            self._context.abort_when(None)
        return not cancelled()

    def _decode(self, tokens: Sequence[int], start: int) -> bool:
        code = self._context.decode([tokens], start, all_outputs=False)
        if code not in (0, ABORTED):
            raise EngineError(f"llama.cpp could not compute this prompt (code {code}).")
        return code == 0

    def _answer(
        self,
        sampler: Any,
        text: _Answer,
        place: tuple[int, int],
        cancelled: Callable[[], bool],
    ) -> str:
        """Sample until the model, a stop word, the room or the client ends it; why it ended."""
        start, room = place
        for number in range(room):
            token = int(api.llama_sampler_sample(sampler, self._context.handle, -1))
            if api.llama_vocab_is_eog(self._model.vocab, token):
                return "stop"
            text.add(token, self._marks.get(token) or self._model.piece(token))
            if text.stopped:
                return "stop"
            if cancelled():
                return "cancelled"
            if number + 1 < room:
                self._decode([token], start + number)
        return "length"


class _Answer:
    """Collects an answer while passing it on."""

    def __init__(
        self, stream: TextStream, splitter: ReasoningSplitter, emit: Callable[[object], None]
    ) -> None:
        self._stream = stream
        self._splitter = splitter
        self._emit = emit
        self._texts: dict[bool, list[str]] = {False: [], True: []}
        self._tokens: list[int] = []

    @property
    def stopped(self) -> bool:
        return self._stream.stopped

    def add(self, token: int, piece: bytes) -> None:
        self._tokens.append(token)
        self._show(self._splitter.add(self._stream.add(piece)))

    def end(self, prompt_tokens: int, reason: str) -> Generation:
        self._show([*self._splitter.add(self._stream.finish()), *self._splitter.finish()])
        answer, thought = ("".join(self._texts[kind]) for kind in (False, True))
        return Generation(answer, tuple(self._tokens), prompt_tokens, reason, reasoning=thought)

    def _show(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._texts[piece.is_reasoning].append(piece.text)
            self._emit({"reasoning": piece.text} if piece.is_reasoning else piece.text)


def _mark_tokens(model: LoadedModel, family: Family) -> dict[int, bytes]:
    """Marks that are one token each: as control tokens they would be swallowed."""
    tokens = {
        mark: model.tokenize(mark, add_special=False, parse_special=True)
        for mark in family.reasoning
        if mark
    }
    return {found[0]: mark.encode() for mark, found in tokens.items() if len(found) == 1}


def _chat_template(model: LoadedModel) -> Jinja2ChatFormatter | None:
    source: bytes | None = api.llama_model_chat_template(model.handle, None)
    if not source:
        return None
    with bounded_compilation():
        return Jinja2ChatFormatter(
            template=source.decode("utf-8", "replace"),
            eos_token=model.token_text(int(api.llama_vocab_eos(model.vocab))),
            bos_token=model.token_text(int(api.llama_vocab_bos(model.vocab))),
        )


def _sampler(model: LoadedModel, options: GenerationOptions) -> Any:
    """llama.cpp's usual order: penalties, then greedy or the filters and a draw."""
    chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
    for part in (*_penalties(model, options), *_choice(options)):
        api.llama_sampler_chain_add(chain, part)
    return chain


def _penalties(model: LoadedModel, options: GenerationOptions) -> list[Any]:
    return [
        api.llama_sampler_init_penalties(
            int(api.llama_vocab_n_tokens(model.vocab)),
            PENALTY_WINDOW,
            options.repeat_penalty,
            options.frequency_penalty,
            options.presence_penalty,
        )
    ]


def _choice(options: GenerationOptions) -> list[Any]:
    if options.temperature == 0:
        return [api.llama_sampler_init_greedy()]
    return [
        api.llama_sampler_init_top_k(options.top_k),
        api.llama_sampler_init_top_p(options.top_p, 1),
        api.llama_sampler_init_min_p(options.min_p, 1),
        api.llama_sampler_init_temp(options.temperature),
        api.llama_sampler_init_dist(options.seed),
    ]
