"""Generation with transformers: prompt in, text pieces out; imported in an engine's child only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria
from transformers.generation.streamers import BaseStreamer

from engines.runtimes.child.chat_template import ORDINARY, ChatTemplates
from engines.runtimes.child.messages import EmittedPiece, as_emitted
from engines.runtimes.hugging_face.loading import Checkpoint
from engines.runtimes.notation.families import Family
from engines.runtimes.notation.reader import AnswerReader, read_prompt_end
from engines.runtimes.streaming import require_free_form
from engines.runtimes.templates.writer import TemplateWriter
from engines.runtimes.text.control_marks import strip_enclosures
from engines.runtimes.text.generation import (
    RANDOM_SEED,
    Generation,
    GenerationOptions,
    Piece,
    require_answer_room,
)

REPLACEMENT = "\ufffd"


class Generator(TemplateWriter):
    """Generates one request at a time; nothing is cached between requests."""

    def __init__(self, model: Checkpoint, context_length: int, family: Family) -> None:
        limit = model.context_limit
        self.context_length = min(context_length or limit, limit or context_length)
        self._checkpoint = model
        tokens: dict[str, str] = model.tokenizer.special_tokens_map
        templates = ChatTemplates(_sources(model.tokenizer.chat_template), tokens)
        super().__init__(templates, family, model.marks)
        self._end_tokens = _end_tokens(model)

    def tokens(self, text: str, *, from_template: bool) -> list[int]:
        """Tokens of a prompt; a template writes its own beginning-of-text."""
        tokens = self._read(text, opened=not from_template)
        begin = self._checkpoint.tokenizer.bos_token_id
        # Where a raw prompt begins with it, the tokenizer puts a second one in front.
        is_twice = begin is not None and not from_template and tokens[:2] == [begin, begin]
        return tokens[1:] if is_twice else tokens

    def _read(self, text: str, *, opened: bool) -> list[int]:
        if strip_enclosures(text) == text:
            return self._parse(text, opened=opened)
        tokens = self._opening() if opened else []
        parsed: list[str] = []
        for fragment in self._control_marks.split(text):
            if fragment.is_mark or not self._control_marks.is_in(fragment.text):
                parsed.append(fragment.text)
                continue
            # Cut inside its marks, a text holds none: no tokenizer has to be asked to leave them alone.
            for part in ("".join(parsed), *self._control_marks.break_apart(fragment.text)):
                tokens += self._parse(part)
            parsed.clear()
        return tokens + self._parse("".join(parsed))

    def count(self, text: str, *, from_template: bool) -> int:
        """Tokens of a prompt as ``tokens`` reads it."""
        return len(self.tokens(text, from_template=from_template))

    def _parse(self, text: str, *, opened: bool = False) -> list[int]:
        tokenizer = self._checkpoint.tokenizer
        tokens: list[int] = tokenizer(text, add_special_tokens=opened)["input_ids"]
        return tokens

    def _opening(self) -> list[int]:
        """The beginning-of-text that the tokenizer puts in front of a text, where it does."""
        begin = self._checkpoint.tokenizer.bos_token_id
        return [begin] if begin in self._parse("", opened=True) else []

    def reader_of(
        self, prompt: str, options: GenerationOptions, *, from_template: bool
    ) -> AnswerReader:
        """Return what reads the answer to a prompt."""
        end = read_prompt_end(prompt, self.notation, from_template=from_template)
        return AnswerReader.of(self.notation, options, end)

    def run(
        self,
        prompt: Sequence[int],
        options: GenerationOptions,
        reader: AnswerReader,
        emit: Callable[[EmittedPiece], None],
        cancelled: Callable[[], bool],
    ) -> Generation:
        """Generate; pieces go to ``emit``, their sum and the token ids come back."""
        require_free_form(options, "transformers")
        room = require_answer_room(len(prompt), self.context_length, options.max_tokens)
        answer = _Answer(self._reader(), reader, emit)
        ids = torch.tensor([list(prompt)], device=self._checkpoint.model.device)
        # torch has one generator for the process; requests come one at a time, so it is this answer's.
        if options.seed == RANDOM_SEED:
            torch.seed()
        else:
            torch.manual_seed(options.seed)
        self._checkpoint.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=self._config(options, room),
            streamer=_Streamer(answer, self._end_tokens),
            stopping_criteria=[_Stop(lambda: answer.stopped or cancelled())],
            logits_processor=[_Penalties(options, len(prompt))],
        )
        return answer.end(len(prompt), was_cancelled=cancelled())

    def _config(self, options: GenerationOptions, room: int) -> Any:
        """Set every option: what a model's own file recommends must not apply."""
        sampling: dict[str, object] = {"do_sample": options.temperature > 0}
        if options.temperature > 0:
            sampling |= {
                "temperature": float(options.temperature),
                "top_p": float(options.top_p),
                "top_k": options.top_k,
                "min_p": float(options.min_p),
            }
        return GenerationConfig(
            max_new_tokens=room,
            eos_token_id=sorted(self._end_tokens) or None,
            pad_token_id=min(self._end_tokens, default=0),
            repetition_penalty=float(options.repeat_penalty),
            **sampling,
        )

    def _reader(self) -> TokenReader:
        tokenizer = self._checkpoint.tokenizer
        marks = {token for mark in self.notation.marks for token in _tokens_of(tokenizer, mark)}
        return TokenReader(tokenizer, set(tokenizer.all_special_ids) - marks)


class TokenReader:
    """Turns tokens into text as they come: whole characters only, nothing of control tokens."""

    def __init__(self, tokenizer: Any, silent: set[int]) -> None:
        self._tokenizer = tokenizer
        self._silent = silent
        self._tokens: list[int] = []
        self._context = 0
        """Where decoding begins: some tokenizers write a token differently at the beginning."""
        self._read = 0

    def add(self, token: int) -> str:
        """Text that is complete with this token."""
        if token in self._silent:
            return ""
        self._tokens.append(token)
        return self._advance(last=False)

    def finish(self) -> str:
        """What was held back, when no more comes."""
        return self._advance(last=True)

    def _advance(self, *, last: bool) -> str:
        before = self._decode(self._tokens[self._context : self._read])
        now = self._decode(self._tokens[self._context :])
        # A character of several bytes may span tokens; half of one decodes to the replacement sign.
        if not last and now.endswith(REPLACEMENT):
            return ""
        # Decoding starts one step back, so that joining spaces come out as in the whole text.
        self._context, self._read = self._read, len(self._tokens)
        return now[len(before) :]

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(
            self._tokenizer.decode(
                tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )


class _Answer:
    """Collects an answer while passing it on."""

    def __init__(
        self,
        tokens: TokenReader,
        reader: AnswerReader,
        emit: Callable[[EmittedPiece], None],
    ) -> None:
        self._token_reader = tokens
        self._reader = reader
        self._emit = emit
        self._texts: dict[bool, list[str]] = {False: [], True: []}
        self._tokens: list[int] = []
        self._ended = False

    @property
    def stopped(self) -> bool:
        return self._reader.stopped

    def end_token(self) -> None:
        self._ended = True

    def add(self, token: int) -> None:
        self._tokens.append(token)
        self._show(self._reader.add(self._token_reader.add(token)))

    def end(self, prompt_tokens: int, *, was_cancelled: bool) -> Generation:
        self._show(self._reader.add(self._token_reader.finish()))
        is_cut = was_cancelled or not self._ended
        self._show(self._reader.finish(is_cut=is_cut))
        finished = "stop" if self._ended or self.stopped else "length"
        answer, thought = ("".join(self._texts[kind]) for kind in (False, True))
        return Generation(
            answer,
            tuple(self._tokens),
            prompt_tokens,
            "cancelled" if was_cancelled else finished,
            reasoning=thought,
        )

    def _show(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._texts[piece.is_reasoning].append(piece.text)
            self._emit(as_emitted(piece))


class _Streamer(BaseStreamer):  # type: ignore[misc]
    """Receives the prompt once, then each token."""

    def __init__(self, answer: _Answer, ends: frozenset[int]) -> None:
        self._answer = answer
        self._end_tokens = ends
        self._has_prompt = False

    def put(self, value: Any) -> None:
        if not self._has_prompt:
            self._has_prompt = True
            return
        for token in value.flatten().tolist():
            if token in self._end_tokens:
                self._answer.end_token()
            else:
                self._answer.add(token)

    def end(self) -> None:
        """Nothing to do: ``run`` ends the answer, with what it knows of the cancel."""


class _Stop(StoppingCriteria):  # type: ignore[misc]
    """Ends an answer at a stop word or when its reader has left."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self._asked = asked

    def __call__(self, input_ids: Any, scores: Any, **_kwargs: Any) -> Any:
        return torch.full((len(input_ids),), self._asked(), device=input_ids.device)


class _Penalties(LogitsProcessor):  # type: ignore[misc]
    """Frequency and presence penalties over the answer, as OpenAI's API defines them."""

    def __init__(self, options: GenerationOptions, prompt: int) -> None:
        self._frequency = options.frequency_penalty
        self._presence = options.presence_penalty
        self._prompt = prompt

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        if not (self._frequency or self._presence):
            return scores
        counts = torch.zeros_like(scores)
        said = input_ids[:, self._prompt :]
        counts.scatter_add_(1, said, torch.ones_like(said, dtype=scores.dtype))
        return scores - self._frequency * counts - self._presence * (counts > 0)


def _sources(given: object) -> dict[str, str]:
    """Templates by name; a tokenizer has none, one, or several with names."""
    if isinstance(given, dict):
        return {str(name): str(source) for name, source in given.items() if source}
    return {ORDINARY: str(given)} if given else {}


def _end_tokens(model: Checkpoint) -> frozenset[int]:
    """Every token that ends an answer: models name one or several, in either of two places."""
    found: set[int] = set()
    for source in (model.model.generation_config, model.text_config, model.tokenizer):
        value = getattr(source, "eos_token_id", None)
        found |= {value} if isinstance(value, int) else set(value or ())
    return frozenset(found)


def _tokens_of(tokenizer: Any, mark: str) -> list[int]:
    """The tokens that a mark takes."""
    return [int(token) for token in tokenizer(mark, add_special_tokens=False)["input_ids"]]
