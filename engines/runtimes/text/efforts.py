"""How much a model shall think, in the words or numbers that its template takes."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from itertools import pairwise

from engines.runtimes.text.generation import EFFORTS, Effort

SPOKEN = ("low", "medium", "high")
"""What models know whose template tells them any word (gpt-oss)."""
ALIKE = {"minimal": ("low",), "xhigh": ("max", "high"), "max": ("xhigh", "high")}
"""Levels that stand for one which a template does not list."""
TOKENS = {"minimal": 512, "low": 1024, "medium": 4096, "high": 16384}
"""What a level is where a number of tokens is asked for; more than ``high`` is no limit."""
NO_LIMIT = -1


class EffortForm(enum.StrEnum):
    """What a template does with a level."""

    NEAREST = "nearest"
    """It tells any word to the model, refuses those that it does not know, or takes them for one that it knows."""
    LISTED = "listed"
    """Words that it does not know are none of its levels and no level of their own."""
    NUMBER = "number"
    """It takes a number of tokens."""
    FLAG = "flag"
    """It takes true, for the one level that it knows."""


@dataclass(frozen=True, slots=True)
class Efforts:
    """The variable of a template that says how much to think."""

    variable: str
    form: EffortForm
    levels: tuple[str, ...] = ()
    """Of EFFORTS, those that change a prompt; none for a number."""

    def variables(self, effort: Effort | None) -> dict[str, str | bool | int]:
        """Return what the template is given; nothing where it has nothing for such an effort."""
        if effort is None:
            return {}
        if self.form is EffortForm.NUMBER:
            number = effort if isinstance(effort, int) else TOKENS.get(effort, NO_LIMIT)
            return {self.variable: number}
        level = self.level_of(effort)
        if not level:
            return {}
        return {self.variable: True if self.form is EffortForm.FLAG else level}

    def level_of(self, effort: Effort) -> str:
        """Return the level that the template knows for an effort; empty where it has none."""
        wanted = name_effort(effort)
        if wanted in self.levels:
            return wanted
        # The least is asked for where none is wanted: no model shall think more for it than by itself.
        if self.form is EffortForm.NEAREST and wanted != "minimal":
            place = EFFORTS.index(wanted)
            # Of two as near, the one that thinks more.
            return min(reversed(self.levels), key=lambda level: abs(EFFORTS.index(level) - place))
        return next((level for level in ALIKE.get(wanted, ()) if level in self.levels), "")


SPOKEN_EFFORTS = Efforts("reasoning_effort", EffortForm.NEAREST, SPOKEN)
"""As a server is told of it that serves any model."""


def name_effort(effort: Effort) -> str:
    """Return the level of an effort that may be given as tokens."""
    if isinstance(effort, str):
        return effort
    return next((level for level, more in pairwise(SPOKEN) if effort < TOKENS[more]), SPOKEN[-1])
