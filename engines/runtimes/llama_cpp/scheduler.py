"""Answers side by side in one context: each step computes a little of all of them.

Iteration-level scheduling with preemption by recomputation (Yu et al., Orca, OSDI 2022; Kwon et al.,
vLLM, SOSP 2023). All lanes share one cache of the context's length: any of them may grow to all of it
when it is alone, and when it becomes too small the youngest gives its place up and is computed again
later; its sampler and what it has said are kept, so its reader sees a pause and nothing else.

llama.cpp rounds a batch by its size and by the cells it uses: two tokens that nearly tie may change
places beside other answers. Where that must not be, the context keeps its sequences apart: each lane
then has a cache of that length and batches of its own (docs/decisions/answers-share-one-context.md).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from llama_cpp import llama_cpp as api

from engines.exceptions import EngineError, SamError
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import Job
from engines.runtimes.llama_cpp.lora import AdapterShelf, Wanted
from engines.runtimes.llama_cpp.native import ABORTED, NO_ROOM, LoadedModel, NativeContext, Part
from engines.runtimes.llama_cpp.output import Answer
from engines.runtimes.llama_cpp.prefix_cache import Beginning, Places
from engines.runtimes.llama_cpp.sampler import check_kept

logger = logging.getLogger("engine")

GROWTH = 64
"""Tokens a lane shall be able to add before it may be put off again."""
STEPS_EACH = 4
"""Steps of one set of adapters before another's turn: to change them costs a new graph."""


@dataclass(eq=False)
class Lane:
    """One answer being written."""

    job: Job
    tokens: list[int]
    """Of the prompt and, behind it, of the answer so far."""
    room: int
    """Most tokens of the answer."""
    sampler: Any
    answer: Answer
    adapters: Wanted = ()
    owner: str = ""
    """Whose it is: what was computed of the prompt is kept for the next of the same owner."""
    reused: int = 0
    """Tokens of the prompt that were computed before."""
    prompt: int = field(init=False)
    computed: int = 0
    """Tokens whose keys and values are in the cache."""
    sequence: int = -1

    def __post_init__(self) -> None:
        self.prompt = len(self.tokens)

    @property
    def key(self) -> Wanted:
        """Lanes of an equal key may be computed in one batch."""
        return tuple(self.adapters)

    @property
    def is_answering(self) -> bool:
        """Whether the prompt is read."""
        return self.computed >= self.prompt

    def beginning(self, length: int) -> Beginning:
        """The first tokens of the prompt, at most as many."""
        return Beginning(self.owner, self.key, self.tokens[: min(length, self.prompt)])

    @property
    def cells(self) -> int:
        """Of the cache, for what it has and the next of it."""
        return len(self.tokens) + min(self.room - self.answer.length, GROWTH)


class Lanes:
    """The answers of one context, at most as many at once as it has sequences; one thread only."""

    def __init__(
        self,
        model: LoadedModel,
        context: NativeContext,
        shelf: AdapterShelf,
        piece: Callable[[int], bytes],
    ) -> None:
        """``piece`` gives a token's bytes."""
        self._model = model
        self._context = context
        self._shelf = shelf
        self._piece = piece
        self._cells = int(api.llama_n_ctx(context.handle))
        self._places = Places(context)
        self._running: list[Lane] = []
        """In the order in which they came."""
        self._waiting: deque[Lane] = deque()
        self._turn: Wanted = ()
        self._steps_left = STEPS_EACH

    def add(self, lane: Lane) -> None:
        """Take up an answer; it waits for a free place and is ended through its job."""
        self._waiting.append(lane)

    def step(self) -> bool:
        """Compute one batch and sample from it; False when there is nothing left to do."""
        for lane in [lane for lane in chain(self._running, self._waiting) if _is_cancelled(lane)]:
            self._end(lane, "cancelled")
        self._put_off()
        self._admit()
        group = self._group()
        self._blame(group, partial(self._compute, group))
        return bool(self._running or self._waiting)

    def _blame(self, lanes: Sequence[Lane], work: Callable[[], None]) -> None:
        """Do ``work``; what it raises ends these answers and no others."""
        try:
            work()
        except SamError as error:
            self._fail(lanes, error)
        except Exception as error:
            logger.exception("the request failed")
            self._fail(lanes, error)

    def _put_off(self) -> None:
        """Take the youngest out while the cache is too small for all; the oldest always goes on."""
        while self._used() > self._cells and self._make_way():
            pass

    def _used(self) -> int:
        return sum(len(lane.tokens) for lane in self._running) + self._places.kept_cells

    def _make_way(self) -> bool:
        """Free cells: of beginnings that nobody uses now, else of the youngest; False when it is alone."""
        if self._places.drop_oldest():
            return True
        if not self._running[1:]:
            return False
        self._preempt()
        return True

    def _preempt(self) -> None:
        lane = self._running[-1]
        self._release(lane, keep=False)
        self._waiting.appendleft(lane)

    def _admit(self) -> None:
        while self._waiting and self._places.are_free:
            lane = self._waiting[0]
            wanted = lane.cells + sum(other.cells for other in self._running)
            if self._running and wanted > self._cells:
                return
            self._waiting.popleft()
            lane.sequence, lane.computed = self._places.take(lane.beginning(lane.prompt))
            lane.reused = lane.computed
            self._running.append(lane)
            while wanted + self._places.kept_cells > self._cells and self._places.drop_oldest():
                pass
            lane.job.begin()

    def _group(self) -> list[Lane]:
        """The lanes of this step: those of one set of adapters, the sets in turn."""
        keys = list(dict.fromkeys(lane.key for lane in self._running))
        self._steps_left -= 1
        if keys and (self._turn not in keys or self._steps_left < 0):
            at = keys.index(self._turn) + 1 if self._turn in keys else 0
            self._turn, self._steps_left = keys[at % len(keys)], STEPS_EACH
        return [lane for lane in self._running if lane.key == self._turn]

    def _compute(self, group: Sequence[Lane]) -> None:
        """The next token of all who answer, then a piece of the oldest prompt.

        A prompt is read in the pieces in which it is read alone: those decide how it is rounded.
        """
        if not group:
            return
        others = (digest for lane in self._running for digest, _, _ in lane.adapters)
        self._shelf.use(self._turn, others)
        answering = [(lane, _piece(lane, 1)) for lane in group if lane.is_answering]
        reading = [(lane, self._prompt_piece(lane)) for lane in group if not lane.is_answering]
        for batch in (*self._batches(answering), reading[:1]):
            code = self._decode(batch) if batch else 0
            if code == NO_ROOM and self._make_way():
                return
            if code not in (0, ABORTED):
                raise EngineError(f"llama.cpp could not compute this prompt (code {code}).")
            if code == 0:
                self._take(batch)

    def _batches(self, parts: list[tuple[Lane, Part]]) -> list[list[tuple[Lane, Part]]]:
        """One for all, because the weights are read once for it; or one for each, as when it is alone."""
        return [[part] for part in parts] if self._context.shape.apart else [parts]

    def _take(self, parts: Sequence[tuple[Lane, Part]]) -> None:
        """Note what is computed, and have those speak whose next token can be chosen."""
        at = -1
        for lane, part in parts:
            at += len(part.tokens)
            lane.computed += len(part.tokens)
            if part.speaks:
                self._blame([lane], partial(self._speak, lane, at))

    def _decode(self, parts: Sequence[tuple[Lane, Part]]) -> int:
        """A batch in which everybody has left is given up, which matters for a long prompt only."""
        is_long = any(len(part.tokens) > 1 for _, part in parts)
        if is_long:
            self._context.abort_when(lambda: all(_is_cancelled(lane) for lane, _ in parts))
        try:
            return self._context.decode([part for _, part in parts])
        finally:
            if is_long:
                self._context.abort_when(None)

    def _prompt_piece(self, lane: Lane) -> Part:
        return _piece(lane, min(self._context.shape.batch, lane.prompt - lane.computed))

    def _speak(self, lane: Lane, at: int) -> None:
        """Sample the next token of a lane from the batch's output at this place."""
        token = int(api.llama_sampler_sample(lane.sampler, self._context.handle, at))
        check_kept(lane.sampler)
        if api.llama_vocab_is_eog(self._model.vocab, token):
            self._end(lane, "stop")
            return
        lane.answer.add(token, self._piece(token))
        if lane.answer.stopped:
            self._end(lane, "stop")
        elif lane.answer.length >= lane.room:
            self._end(lane, "length")
        else:
            lane.tokens.append(token)

    def _end(self, lane: Lane, reason: str) -> None:
        self._drop(lane)
        generation = lane.answer.end(lane.prompt, reason, reused=lane.reused)
        lane.job.finish(Frame({"generation": asdict(generation)}))

    def _fail(self, lanes: Sequence[Lane], error: Exception) -> None:
        for lane in lanes:
            if lane in self._running:
                self._drop(lane)
                lane.job.fail(error)

    def _drop(self, lane: Lane) -> None:
        if lane in self._running:
            self._release(lane)
        else:
            self._waiting.remove(lane)
        api.llama_sampler_free(lane.sampler)

    def _release(self, lane: Lane, *, keep: bool = True) -> None:
        """Leave nothing to others: the last one out of a shared cache clears its cells as well."""
        self._running.remove(lane)
        self._places.give_back(lane.sequence, lane.beginning(lane.computed) if keep else None)
        lane.computed, lane.sequence = 0, -1
        if not (self._running or self._places.kept_cells or self._context.shape.apart):
            self._context.clear()


def _piece(lane: Lane, size: int) -> Part:
    end = lane.computed + size
    is_last = end == len(lane.tokens)
    return Part(lane.tokens[lane.computed : end], lane.computed, lane.sequence, speaks=is_last)


def _is_cancelled(lane: Lane) -> bool:
    return lane.job.cancelled.is_set()
