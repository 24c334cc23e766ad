"""The sequences of one context, and the prompt prefixes that stay computed in those nobody uses.

A client that continues a conversation sends all of it again, and what was computed of it is reused. Only
whole batches of a prompt are kept, so that the rest is cut, and therefore rounded, as it would be without
the cache; and only for models whose cache holds every token. A prefix is reused for its owner alone: the time
to the first word would tell what somebody else has asked (docs/decisions/what-was-read-is-not-read-again.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import NamedTuple

from engines.runtimes.llama_cpp.lora import AdapterRefs
from engines.runtimes.llama_cpp.native import NativeContext

MIN_CACHED_TOKENS = 512
"""A shorter prefix is computed again before anybody notices; its cells are worth more to others."""


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
        self._piece = context.shape.batch
        self._empty = list(reversed(range(context.shape.sequences)))
        self._kept: dict[int, Prefix] = {}
        """By sequence, least recently used first."""

    @property
    def cached_cells(self) -> int:
        """Cells of unused prefixes; they can be evicted at any time."""
        return sum(len(prefix.tokens) for prefix in self._kept.values())

    def take(self, wanted: Prefix) -> SlotGrant:
        """Lend the sequence that holds most of this prompt, else an empty one."""
        found = ((self._common_length(sequence, wanted), sequence) for sequence in self._kept)
        common, sequence = max(found, default=(0, -1))
        if common:
            del self._kept[sequence]
            # What the kept prompt had behind the common part belongs to another turn of the talk.
            self._context.forget(sequence, common)
            return SlotGrant(sequence, common)
        if not self._empty:
            self.evict_oldest()
        return SlotGrant(self._empty.pop(), 0)

    def give_back(self, sequence: int, computed: Prefix | None) -> None:
        """Take a sequence back, and keep the whole batches of what is computed there."""
        kept = self._cacheable_part(computed) if computed else None
        if kept is None:
            self._wipe(sequence)
        else:
            # The answer goes: it was computed token by token, which rounds otherwise than a batch.
            self._context.forget(sequence, len(kept.tokens))
            self._kept[sequence] = kept

    def _cacheable_part(self, computed: Prefix) -> Prefix | None:
        whole = len(computed.tokens) // self._piece * self._piece
        # A layer with a window or a state cannot go back to a position in the middle.
        if not computed.owner or self._context.model.has_partial_cache or whole < MIN_CACHED_TOKENS:
            return None
        return replace(computed, tokens=computed.tokens[:whole])

    def evict_oldest(self) -> bool:
        """Evict the least recently used prefix; False when none is kept."""
        if not self._kept:
            return False
        sequence = next(iter(self._kept))
        del self._kept[sequence]
        self._wipe(sequence)
        return True

    def _common_length(self, sequence: int, wanted: Prefix) -> int:
        """Tokens of the whole batches that both begin with; at least one token is left to compute."""
        kept = self._kept[sequence]
        if (kept.owner, kept.adapters) != (wanted.owner, wanted.adapters):
            return 0
        # Without a token to compute there would be no output to sample the first word from.
        most = min(len(kept.tokens), len(wanted.tokens) - 1) // self._piece * self._piece
        starts = range(0, most, self._piece)
        ends = range(self._piece, most + 1, self._piece)
        same = (kept.tokens[a:b] == wanted.tokens[a:b] for a, b in zip(starts, ends, strict=True))
        return sum(self._piece for _ in takewhile(bool, same))

    def _wipe(self, sequence: int) -> None:
        self._context.forget(sequence)
        self._empty.append(sequence)
