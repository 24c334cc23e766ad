"""The places for answers in one context, and the beginnings of prompts that stay computed in free ones.

Who goes on with a conversation sends all of it again; what was read of it need not be read again. Only
whole pieces are kept, as a prompt is read in, so that it goes on behind them as it would have done by itself;
and only of models that keep every token. One owner's beginnings are never another's: how soon an answer
begins would tell what somebody else has asked (docs/decisions/what-was-read-is-not-read-again.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import NamedTuple

from engines.runtimes.llama_cpp.lora import Wanted
from engines.runtimes.llama_cpp.native import NativeContext

LEAST_KEPT = 512
"""Tokens; less is read again before anybody notices, and leaves the cache to the others."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first tokens of a prompt, and whose it is."""

    owner: str
    """Nothing is kept for nobody."""
    adapters: Wanted
    tokens: Sequence[int]


class Taken(NamedTuple):
    """A place for an answer."""

    sequence: int
    computed: int
    """Tokens of its prompt that are there already."""


class Places:
    """Hands out the sequences of a context and takes them back."""

    def __init__(self, context: NativeContext) -> None:
        self._context = context
        self._piece = context.shape.batch
        self._empty = list(reversed(range(context.shape.sequences)))
        self._kept: dict[int, Beginning] = {}
        """By sequence, the longest unused first."""

    @property
    def are_free(self) -> bool:
        return bool(self._empty or self._kept)

    @property
    def kept_cells(self) -> int:
        """Of the cache, which can be had back."""
        return sum(len(beginning.tokens) for beginning in self._kept.values())

    def take(self, wanted: Beginning) -> Taken:
        """Give the place where most of a prompt is computed, else an empty one."""
        found = ((self._common(sequence, wanted), sequence) for sequence in self._kept)
        common, sequence = max(found, default=(0, -1))
        if common:
            del self._kept[sequence]
            self._context.forget(sequence, common)
            return Taken(sequence, common)
        if not self._empty:
            self.drop_oldest()
        return Taken(self._empty.pop(), 0)

    def give_back(self, sequence: int, computed: Beginning | None) -> None:
        """Take a place back; of what is computed there whole pieces are kept."""
        kept = self._keepable(computed) if computed else None
        if kept is None:
            self._wipe(sequence)
        else:
            self._context.forget(sequence, len(kept.tokens))
            self._kept[sequence] = kept

    def _keepable(self, computed: Beginning) -> Beginning | None:
        whole = len(computed.tokens) // self._piece * self._piece
        if not computed.owner or self._context.model.forgets or whole < LEAST_KEPT:
            return None
        return replace(computed, tokens=computed.tokens[:whole])

    def drop_oldest(self) -> bool:
        """Forget the beginning that was unused for longest; False when none is kept."""
        if not self._kept:
            return False
        sequence = next(iter(self._kept))
        del self._kept[sequence]
        self._wipe(sequence)
        return True

    def _common(self, sequence: int, wanted: Beginning) -> int:
        """Tokens of whole pieces that both begin with; one token at least is left to be computed."""
        kept = self._kept[sequence]
        if (kept.owner, kept.adapters) != (wanted.owner, wanted.adapters):
            return 0
        most = min(len(kept.tokens), len(wanted.tokens) - 1) // self._piece * self._piece
        starts = range(0, most, self._piece)
        ends = range(self._piece, most + 1, self._piece)
        same = (kept.tokens[a:b] == wanted.tokens[a:b] for a, b in zip(starts, ends, strict=True))
        return sum(self._piece for _ in takewhile(bool, same))

    def _wipe(self, sequence: int) -> None:
        self._context.forget(sequence)
        self._empty.append(sequence)
