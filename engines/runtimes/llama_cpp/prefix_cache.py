"""The sequences of one context, and the prompt prefixes that stay computed in those nobody uses.

A client that continues a conversation sends all of it again, and what was computed of it is reused. Only
whole batches of a prompt are kept, so that the rest is cut, and therefore rounded, as it would be without
the cache. A model that forgets while it reads goes on from checkpoints only, which are taken near the end of a
prompt and where prompts of one owner part. A prefix is reused for its owner alone: the time to the first
word would tell what somebody else has asked (docs/decisions/what-was-read-is-not-read-again.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import NamedTuple

from engines.runtimes.llama_cpp.checkpoints import Checkpoints
from engines.runtimes.llama_cpp.lora import AdapterRefs
from engines.runtimes.llama_cpp.native import NativeContext

MIN_CACHED_TOKENS = 512
"""A shorter prefix is computed again before anybody notices; its cells are worth more to others."""

CHANGED_END = 16
"""Tokens at the end of a prompt that the next one may not have: the beginning of an answer, as a template
writes it. A checkpoint behind them would be of no use."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first tokens of a prompt, and its owner."""

    owner: str
    """Empty when nobody is named; nothing is cached then."""
    adapters: AdapterRefs
    tokens: Sequence[int]


class SlotGrant(NamedTuple):
    """A sequence lent to one answer."""

    sequence: int
    computed: int
    """Tokens of its prompt that are in the cache already."""


class PrefixCache:
    """Hands out the sequences of a context and takes them back."""

    def __init__(self, context: NativeContext) -> None:
        self._context = context
        self._piece = context.shape.piece or context.shape.batch
        self._empty = list(reversed(range(context.shape.sequences)))
        self._kept: dict[int, Prefix] = {}
        """By sequence, least recently used first."""
        self._forgets = context.model.has_partial_cache
        # A window's cells come back in another order, which rounds otherwise than reading them.
        self._keeps = not (context.shape.apart and context.model.has_window)
        self._checkpoints = Checkpoints(context)
        self._stops: dict[int, set[int]] = {}
        """Where checkpoints are to be taken, by sequence in use."""

    @property
    def cached_cells(self) -> int:
        """Cells of unused prefixes; they can be evicted at any time."""
        return sum(len(prefix.tokens) for prefix in self._kept.values())

    def take(self, wanted: Prefix) -> SlotGrant:
        """Lend the sequence that holds most of this prompt, else an empty one."""
        common = {sequence: self._common_length(sequence, wanted) for sequence in self._kept}
        found = ((self._usable(sequence, length), sequence) for sequence, length in common.items())
        usable, sequence = max(found, default=(0, -1))
        if usable:
            kept = self._kept.pop(sequence)
            # What the kept prompt had behind the common part belongs to another turn of the talk.
            if usable < len(kept.tokens) and not self._go_back(sequence, usable):
                self._wipe(sequence)
                usable = 0
        if not usable:
            if not self._empty:
                self.evict_oldest()
            sequence = self._empty.pop()
        self._stops[sequence] = self._plan_stops(wanted, common.values())
        return SlotGrant(sequence, usable)

    def note_read(self, sequence: int, length: int) -> None:
        """Take a checkpoint of a sequence in use, if this is a place for one."""
        if length in self._stops.get(sequence, ()):
            self._stops[sequence].remove(length)
            self._checkpoints.save(sequence, length)

    def give_back(self, sequence: int, computed: Prefix | None) -> None:
        """Take a sequence back, and keep the whole batches of what is computed there."""
        self._stops.pop(sequence, None)
        length = self._cacheable_length(sequence, computed) if computed else 0
        # The answer goes: it was computed token by token, which rounds otherwise than a batch. A model that
        # forgets goes back although it may be there already: a prompt that was given up leaves its state torn.
        if computed and length and self._go_back(sequence, length):
            self._kept[sequence] = replace(computed, tokens=computed.tokens[:length])
        else:
            self._wipe(sequence)

    def evict_oldest(self) -> bool:
        """Evict the least recently used prefix; False when none is kept."""
        if not self._kept:
            return False
        sequence = next(iter(self._kept))
        del self._kept[sequence]
        self._wipe(sequence)
        return True

    def _go_back(self, sequence: int, length: int) -> bool:
        if self._forgets:
            return self._checkpoints.restore(sequence, length)
        return self._context.forget(sequence, length)

    def _cacheable_length(self, sequence: int, computed: Prefix) -> int:
        if not computed.owner or not self._keeps:
            return 0
        length = self._whole(len(computed.tokens))
        if self._forgets:
            length = self._checkpoints.longest(sequence, length)
        return length if length >= MIN_CACHED_TOKENS else 0

    def _usable(self, sequence: int, common: int) -> int:
        """Tokens of a kept prompt to go on from, where so many begin alike."""
        if not self._forgets or common == len(self._kept[sequence].tokens):
            return common
        return self._checkpoints.longest(sequence, common)

    def _plan_stops(self, wanted: Prefix, common: Iterable[int]) -> set[int]:
        if not (wanted.owner and self._forgets and self._keeps):
            return set()
        # Where two prompts part, a third is likely to part as well: behind instructions and passages.
        places = {*common, self._whole(len(wanted.tokens) - CHANGED_END)}
        return {length for length in places if length >= MIN_CACHED_TOKENS}

    def _whole(self, length: int) -> int:
        """Tokens of the whole batches in so many."""
        return max(length, 0) // self._piece * self._piece

    def _common_length(self, sequence: int, wanted: Prefix) -> int:
        """Tokens of the whole batches that both begin with; at least one token is left to compute."""
        kept = self._kept[sequence]
        if (kept.owner, kept.adapters) != (wanted.owner, wanted.adapters):
            return 0
        # Without a token to compute there would be no output to sample the first word from.
        most = self._whole(min(len(kept.tokens), len(wanted.tokens) - 1))
        starts = range(0, most, self._piece)
        ends = range(self._piece, most + 1, self._piece)
        same = (kept.tokens[a:b] == wanted.tokens[a:b] for a, b in zip(starts, ends, strict=True))
        return sum(self._piece for _ in takewhile(bool, same))

    def _wipe(self, sequence: int) -> None:
        self._checkpoints.drop(sequence)
        self._context.forget(sequence)
        self._empty.append(sequence)
