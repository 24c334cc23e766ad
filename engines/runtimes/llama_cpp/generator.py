"""Generation in an engine's child: prompt in, text pieces out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from llama_cpp import llama_cpp as api

from engines.exceptions import EngineError
from engines.fit.memory import GPU_PROMPT_BATCH, PROMPT_BATCH
from engines.runtimes.child.main import Job
from engines.runtimes.llama_cpp.lora import AdapterCache, AdapterRefs
from engines.runtimes.llama_cpp.native import ContextShape, LoadedModel, NativeContext
from engines.runtimes.llama_cpp.output import Answer
from engines.runtimes.llama_cpp.prompts import Prompt, PromptMaker
from engines.runtimes.llama_cpp.sampler import sampler_of
from engines.runtimes.llama_cpp.scheduler import Scheduler, Slot
from engines.runtimes.notation.families import UNKNOWN, Family
from engines.runtimes.notation.reader import AnswerReader
from engines.runtimes.text.generation import GenerationOptions, require_answer_room

PROMPT_PIECE = 64
"""Tokens that are read at once of a prompt longer than a batch; all other answers wait for it, and get a step between
two. In smaller pieces each token costs up to half as much again: llama.cpp's attention goes over 64 at a time."""
KEPT_PIECES = 8192
"""Tokens whose text is not asked for again."""


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


class Generator(PromptMaker):
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
            piece=0 if layout.on_gpu else PROMPT_PIECE,
            sequences=min(layout.parallel, int(api.llama_max_parallel_sequences())),
            threads=threads,
            apart=layout.apart,
        )
        self._context = NativeContext(model, shape)
        self._adapters = AdapterCache(model, self._context)
        if not self._context.memory:
            raise EngineError(
                "This model only embeds text; choose a chat model to generate, or `sam embed` for vectors."
            )
        super().__init__(model, int(api.llama_n_ctx_seq(self._context.handle)), family)
        piece = lru_cache(KEPT_PIECES)(self._piece)
        self._scheduler = Scheduler(model, self._context, self._adapters, piece)

    def _piece(self, token: int) -> bytes:
        return self.marks.get(token) or self._model.piece(token)

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

    def begin(
        self, job: Job, prompt: Prompt, options: GenerationOptions, adapters: AdapterRefs
    ) -> None:
        """Queue an answer; its pieces and its end go to ``job`` while ``proceed`` is called."""
        room = require_answer_room(len(prompt.tokens), self.context_length, options.max_tokens)
        answer = Answer(AnswerReader.of(self.notation, options, prompt.end), job.hold)
        sampler = sampler_of(self._model, options, self.notation, prompt.end)
        slot = Slot(job, list(prompt.tokens), room, sampler, answer, adapters, options.owner)
        self._scheduler.add(slot)

    def proceed(self) -> bool:
        """Compute the next tokens of all answers; False when there are none."""
        return self._scheduler.step()
