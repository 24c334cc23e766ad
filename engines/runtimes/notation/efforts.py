"""How much a model shall think, in the words or numbers that its template takes."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from engines.runtimes.notation.probes import Probe
from engines.runtimes.text.generation import EFFORTS, Effort

SPOKEN = ("low", "medium", "high")
"""What models know whose template tells them any word (gpt-oss)."""
ALIKE = {"minimal": ("low",), "xhigh": ("max", "high"), "max": ("xhigh", "high")}
"""Levels that stand for one which a template does not list."""
TOKENS = {"minimal": 512, "low": 1024, "medium": 4096, "high": 16384}
"""What a level is where a number of tokens is asked for; more than ``high`` is no limit."""
NO_LIMIT = -1
NUMBERS = ("thinking_budget", "reasoning_budget")
FLAGS = {"low_effort": "low"}
"""Each is true for one level (Nemotron)."""
WORDS = ("reasoning_effort", "reasoning_strength", "thinking_effort")
VARIABLES = (*WORDS, *NUMBERS, *FLAGS)
"""What publishers give their templates to say how much to think."""
_NO_LEVEL, _ODD_NUMBER = "EFFORTTEXT", 3210


class EffortForm(enum.StrEnum):
    """What a template does with a level."""

    NEAREST = "nearest"
    """It tells any word to the model, or refuses those that it does not know."""
    LISTED = "listed"
    """Words that it does not know change nothing."""
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
        if self.form is EffortForm.NEAREST:
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


def derive_efforts(probe: Probe, thinking: Mapping[str, Any]) -> Efforts | None:
    """Return how a template is told how much to think; ``thinking`` switches the reasoning on."""
    tried = (
        _tried(probe, variable, thinking) for variable in VARIABLES if probe.mentions(variable)
    )
    return next((found for found in tried if found), None)


def _tried(probe: Probe, variable: str, thinking: Mapping[str, Any]) -> Efforts | None:
    def render(value: str | int) -> str | None:
        return probe.render_whole(is_open=True, **{**thinking, variable: value})

    if variable in NUMBERS:
        changes = render(_ODD_NUMBER) not in (None, render(NO_LIMIT))
        return Efforts(variable, EffortForm.NUMBER) if changes else None
    if variable in FLAGS:
        changes = render(value=True) not in (None, render(value=False))
        return Efforts(variable, EffortForm.FLAG, (FLAGS[variable],)) if changes else None
    other = render(_NO_LEVEL)
    if other and _NO_LEVEL.lower() in other.lower():
        return replace(SPOKEN_EFFORTS, variable=variable)
    prompts = {level: render(level) for level in EFFORTS}
    levels = tuple(level for level, prompt in prompts.items() if prompt and prompt != other)
    form = EffortForm.LISTED if other else EffortForm.NEAREST
    return Efforts(variable, form, levels) if levels else None
