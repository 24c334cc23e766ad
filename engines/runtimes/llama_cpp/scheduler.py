"""Answers side by side in one context: each step computes a little of all of them.

Iteration-level scheduling with preemption by recomputation (Yu et al., Orca, OSDI 2022; Kwon et al.,
vLLM, SOSP 2023). All slots share one KV cache of the context's length: a slot that is alone may fill
all of it, and when the cache is too small a slot is preempted and computed again later. Its
sampler and its answer so far are kept, so its reader sees a pause and nothing else.

People are served in turn (docs/decisions/people-are-served-in-turn.md): who has the most slots loses one
when cells lack, or when somebody without a slot waits.

llama.cpp's rounding depends on the size of a batch and on the cells it uses, so two tokens that nearly
tie may swap beside other answers. Where that must not happen, the context keeps its sequences apart: each
slot then has a cache of that length and batches of its own (docs/decisions/answers-share-one-context.md).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from llama_cpp import llama_cpp as api

from engines.exceptions import EngineError, SamError
from engines.fair_queue import FairQueue
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import Job
from engines.runtimes.llama_cpp.batch import Part
from engines.runtimes.llama_cpp.lora import AdapterCache, AdapterRefs
from engines.runtimes.llama_cpp.native import ABORTED, CACHE_FULL, LoadedModel, NativeContext
from engines.runtimes.llama_cpp.output import Answer
from engines.runtimes.llama_cpp.prefix_cache import Prefix, PrefixCache
from engines.runtimes.llama_cpp.sampler import require_grammar_kept

logger = logging.getLogger("engine")

GROWTH_TOKENS = 64
"""Tokens a slot must have room for when it is admitted, so that it is not preempted at once."""
STEPS_PER_TURN = 4
"""Steps with one set of adapters before the next set: a change makes llama.cpp build a new graph."""


@dataclass(eq=False)
class Slot:
    """One answer being written."""

    job: Job
    tokens: list[int]
    """The prompt, followed by the answer so far."""
    room: int
    """Limit of the answer's tokens."""
    sampler: Any
    answer: Answer
    adapters: AdapterRefs = ()
    owner: str = ""
    """Who asked: the computed prompt is reused for later requests of the same owner only."""
    reused: int = 0
    """Prompt tokens found in the prefix cache."""
    prompt: int = field(init=False)
    computed: int = 0
    """Tokens whose keys and values are in the cache."""
    sequence: int = -1

    def __post_init__(self) -> None:
        self.prompt = len(self.tokens)

    @property
    def key(self) -> AdapterRefs:
        """Slots with equal keys may be computed in one batch."""
        return tuple(self.adapters)

    @property
    def is_answering(self) -> bool:
        """Whether the whole prompt is computed."""
        return self.computed >= self.prompt

    def prefix(self, length: int) -> Prefix:
        """The first ``length`` tokens of the prompt, or all of a shorter one."""
        return Prefix(self.owner, self.key, self.tokens[: min(length, self.prompt)])

    @property
    def wanted_cells(self) -> int:
        """Cells for the tokens it has and the next ones it will write."""
        return len(self.tokens) + min(self.room - self.answer.length, GROWTH_TOKENS)


class Scheduler:
    """Computes the answers of one context, one per sequence at most; called from one thread."""

    def __init__(
        self,
        model: LoadedModel,
        context: NativeContext,
        adapters: AdapterCache,
        piece: Callable[[int], bytes],
    ) -> None:
        """``piece`` gives a token's bytes."""
        self._model = model
        self._context = context
        self._adapters = adapters
        self._piece = piece
        self._cells = int(api.llama_n_ctx(context.handle))
        self._prefixes = PrefixCache(context)
        self._running: list[Slot] = []
        """Oldest first."""
        self._waiting: FairQueue[str, Slot] = FairQueue()
        self._pieces_read = 0
        self._read_at: dict[str, int] = {}
        """By owner: the number of the prompt piece that was read for them last."""
        self._active_adapters: AdapterRefs = ()
        self._steps_left = STEPS_PER_TURN

    def add(self, slot: Slot) -> None:
        """Queue an answer; it waits for a free sequence and is ended through its job."""
        self._waiting.append(slot.owner, slot)

    def step(self) -> bool:
        """Compute one batch and sample from it; False when there is nothing left to do."""
        # Before admission: a reader who left must not hold cells that a waiting answer could have.
        for slot in [slot for slot in chain(self._running, self._waiting) if _is_cancelled(slot)]:
            self._end(slot, "cancelled")
        self._evict_until_fits()
        self._admit()
        group = self._next_group()
        self._contain_errors(group, partial(self._compute, group))
        return bool(self._running or self._waiting)

    def _contain_errors(self, slots: Sequence[Slot], work: Callable[[], None]) -> None:
        """Do ``work``; what it raises ends these answers and no others."""
        try:
            work()
        except SamError as error:
            self._fail(slots, error)
        except Exception as error:
            logger.exception("the request failed")
            self._fail(slots, error)

    def _evict_until_fits(self) -> None:
        """Evict until the cache holds all running slots; the oldest is never evicted."""
        # Each answer grew by a token since the last step; a decode that fails costs more than this sum.
        while self._used_cells() > self._cells and self._evict():
            pass

    def _used_cells(self) -> int:
        return sum(len(slot.tokens) for slot in self._running) + self._prefixes.cached_cells

    def _evict(self) -> bool:
        """Free cells of an unused prefix, else of a slot; False when one slot is left."""
        # A cached prefix only saves time; a slot that loses its cells has to be computed again.
        if self._prefixes.evict_oldest():
            return True
        if not self._running[1:]:
            # The last slot may use the whole cache, and its room was limited to that.
            return False
        self._preempt(_most_dispensable(self._running))
        return True

    def _preempt(self, slot: Slot) -> None:
        # Its cells are what is wanted: they must not become a cached prefix.
        self._release(slot, keep=False)
        # In front of its owner's others, so that what they asked for later does not overtake it.
        self._waiting.put_back(slot.owner, slot)

    def _admit(self) -> None:
        while (slot := self._next_waiting()) is not None:
            for other in self._displaced_by(slot):
                self._preempt(other)
            if not self._has_room(slot, self._running):
                # Strictly in turn: a long prompt would wait for ever if short ones could pass it.
                return
            self._waiting.take(slot.owner, slot)
            wanted = _wanted_cells(self._running) + slot.wanted_cells
            slot.sequence, slot.computed = self._prefixes.take(slot.prefix(slot.prompt))
            slot.reused = slot.computed
            self._running.append(slot)
            # Only now: the prefix this slot reuses is no longer among those that can be evicted.
            while (
                wanted + self._prefixes.cached_cells > self._cells and self._prefixes.evict_oldest()
            ):
                pass
            slot.job.begin()

    def _next_waiting(self) -> Slot | None:
        """The next slot in turn: of somebody who has none, else of whoever waits."""
        served = {slot.owner for slot in self._running}
        return self._waiting.first(lambda slot: slot.owner not in served) or self._waiting.first()

    def _has_room(self, slot: Slot, running: Sequence[Slot]) -> bool:
        """Whether there is a sequence and cells for a slot beside these; alone it may want anything."""
        wanted = _wanted_cells(running) + slot.wanted_cells
        return len(running) < self._context.shape.sequences and (
            not running or wanted <= self._cells
        )

    def _displaced_by(self, slot: Slot) -> list[Slot]:
        """Running slots that make room for somebody who has none; none if that is not enough.

        They are of people with several: otherwise one person's long answers keep all others waiting.
        """
        kept, displaced = list(self._running), list[Slot]()
        if any(other.owner == slot.owner for other in kept):
            return []
        while not self._has_room(slot, kept):
            other = _most_dispensable(kept) if len(kept) > 1 else slot
            if sum(each.owner == other.owner for each in kept) <= 1:
                return []
            kept.remove(other)
            displaced.append(other)
        return displaced

    def _next_group(self) -> list[Slot]:
        """The slots of this step: those with one set of adapters, the sets in turn."""
        # Adapters belong to the context, not to a sequence: one batch computes with one set.
        keys = list(dict.fromkeys(slot.key for slot in self._running))
        self._steps_left -= 1
        if keys and (self._active_adapters not in keys or self._steps_left < 0):
            at = keys.index(self._active_adapters) + 1 if self._active_adapters in keys else 0
            self._active_adapters, self._steps_left = keys[at % len(keys)], STEPS_PER_TURN
        return [slot for slot in self._running if slot.key == self._active_adapters]

    def _compute(self, group: Sequence[Slot]) -> None:
        """The next token of all who answer, then a piece of a prompt.

        A prompt is computed in the same pieces as when it is alone: they decide how it is rounded.
        """
        if not group:
            return
        # Those that run next must not be unloaded and read again at every turn.
        others = (digest for slot in self._running for digest, _, _ in slot.adapters)
        self._adapters.use(self._active_adapters, others)
        answering = [(slot, _piece(slot, 1)) for slot in group if slot.is_answering]
        reading = self._next_to_read([slot for slot in group if not slot.is_answering])
        for batch in filter(None, (*self._batches(answering), reading)):
            code = self._decode(batch)
            if code == CACHE_FULL and self._evict():
                # Nothing of this batch was computed: the next step composes it anew.
                return
            # ABORTED: every reader of the batch has left, and the next step ends their slots.
            if code not in (0, ABORTED):
                raise EngineError(f"llama.cpp could not compute this prompt (code {code}).")
            if code == 0:
                self._advance(batch)

    def _next_to_read(self, slots: Sequence[Slot]) -> list[tuple[Slot, Part]]:
        """One prompt piece a step: readers wait for it, and a second one would double their pause.

        It is of the oldest prompt of whoever was read for longest ago.
        """
        if not slots:
            return []
        slot = min(slots, key=lambda slot: self._read_at.get(slot.owner, 0))
        self._pieces_read += 1
        owners = {other.owner for other in self._running}
        self._read_at = {who: at for who, at in self._read_at.items() if who in owners}
        self._read_at[slot.owner] = self._pieces_read
        return [(slot, self._prompt_piece(slot))]

    def _batches(self, parts: list[tuple[Slot, Part]]) -> list[list[tuple[Slot, Part]]]:
        """One batch for all, which reads the weights once; apart, one for each, as when it is alone."""
        return [[part] for part in parts] if self._context.shape.apart else [parts]

    def _advance(self, parts: Sequence[tuple[Slot, Part]]) -> None:
        """Count what is computed, and sample for those whose output was asked for."""
        # llama.cpp numbers outputs by their token's place in the batch.
        at = -1
        for slot, part in parts:
            at += len(part.tokens)
            slot.computed += len(part.tokens)
            self._prefixes.note_read(slot.sequence, slot.computed)
            if part.wants_output:
                self._contain_errors([slot], partial(self._sample, slot, at))
        parts[0][0].job.sink.flush_if_due()

    def _decode(self, parts: Sequence[tuple[Slot, Part]]) -> int:
        """Decode; a prompt piece, of one prompt always, is given up when its reader has left."""
        # A batch of single tokens is done before the question would be worth asking.
        is_long = len(parts) == 1 and len(parts[0][1].tokens) > 1
        if is_long:
            # It takes its time, which the words of others must not wait for.
            parts[0][0].job.sink.flush()
            self._context.abort_by(parts[0][0].job.cancelled.text)
        try:
            return self._context.decode([part for _, part in parts])
        finally:
            if is_long:
                self._context.abort_by(None)

    def _prompt_piece(self, slot: Slot) -> Part:
        shape = self._context.shape
        # One batch is read at once: cut, it would be rounded otherwise than by whoever reads it whole.
        most = shape.batch if slot.prompt <= shape.batch else shape.piece or shape.batch
        return _piece(slot, min(most, slot.prompt - slot.computed))

    def _sample(self, slot: Slot, at: int) -> None:
        """Sample a slot's next token from the batch's output number ``at``."""
        token = int(api.llama_sampler_sample(slot.sampler, self._context.handle, at))
        # A callback cannot raise through native code, so the grammar's failure is asked for here.
        require_grammar_kept(slot.sampler)
        if api.llama_vocab_is_eog(self._model.vocab, token):
            self._end(slot, "stop")
            return
        slot.answer.add(token, self._piece(token))
        if slot.answer.stopped:
            self._end(slot, "stop")
        elif slot.answer.length >= slot.room:
            self._end(slot, "length")
        else:
            slot.tokens.append(token)

    def _end(self, slot: Slot, reason: str) -> None:
        self._drop(slot)
        generation = slot.answer.end(slot.prompt, reason, reused=slot.reused)
        slot.job.finish(Frame({"generation": asdict(generation)}))

    def _fail(self, slots: Sequence[Slot], error: Exception) -> None:
        for slot in slots:
            # One that was preempted or has ended meanwhile is not part of what failed.
            if slot in self._running:
                self._drop(slot)
                slot.job.fail(error)

    def _drop(self, slot: Slot) -> None:
        if slot in self._running:
            self._release(slot)
        else:
            self._waiting.remove(slot.owner, slot)
        api.llama_sampler_free(slot.sampler)

    def _release(self, slot: Slot, *, keep: bool = True) -> None:
        """Give the sequence back, with its computed prompt for the prefix cache if ``keep``."""
        self._running.remove(slot)
        self._prefixes.give_back(slot.sequence, slot.prefix(slot.computed) if keep else None)
        slot.computed, slot.sequence = 0, -1
        # llama.cpp frees a sequence's cells without wiping them. Nothing of a person is to stay in a
        # cache that nobody uses.
        if not (self._running or self._prefixes.cached_cells or self._context.shape.apart):
            self._context.clear()


def _piece(slot: Slot, size: int) -> Part:
    end = slot.computed + size
    is_last = end == len(slot.tokens)
    return Part(
        slot.tokens[slot.computed : end], slot.computed, slot.sequence, wants_output=is_last
    )


def _wanted_cells(slots: Sequence[Slot]) -> int:
    return sum(slot.wanted_cells for slot in slots)


def _most_dispensable(running: Sequence[Slot]) -> Slot:
    """The youngest slot of whoever has the most, never the oldest of all.

    The youngest has the least to compute again, and the oldest is sure to finish.
    """
    slots_of = Counter(slot.owner for slot in running)
    return max(enumerate(running[1:]), key=lambda each: (slots_of[each[1].owner], each[0]))[1]


def _is_cancelled(slot: Slot) -> bool:
    return slot.job.cancelled.is_set()
