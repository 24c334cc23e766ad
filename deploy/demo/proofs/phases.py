"""The facts that are looked at in every phase, each with its verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deploy.demo.acts import Recording
from deploy.demo.bases import Bases
from deploy.demo.models.engine_files import EMBEDDER, NEW, OLD, PERMUTED, DemoEngine
from deploy.demo.proofs.cosines import TOLERANCE, Cosines
from deploy.demo.proofs.report import PHASES, Phased
from deploy.demo.questions import QUESTIONS, Question, shared_runs
from deploy.demo.stage import EDITED_PROMPT
from deploy.demo.witness import Observation, Search

Cell = tuple[str, bool]
Embedders = dict[int, DemoEngine]
_EXCERPT = 20


def embedders(bases: Bases) -> tuple[Embedders, Embedders]:
    """Return who embeds each base before and after the switch; the team's base stays."""
    return (
        {bases.own: EMBEDDER, bases.team: EMBEDDER},
        {bases.own: PERMUTED, bases.team: EMBEDDER},
    )


def phased_facts(recording: Recording, bases: Bases, cosines: Cosines) -> list[Phased]:
    """Return the rows of the table of phases."""
    asked = [_question_row(recording, bases, cosines, question) for question in QUESTIONS]
    return [*asked, *_settings_rows(recording)]


def finds(found: Search, bases: Bases) -> bool:
    """Whether the right passage is on top, and shares no run of words with the question."""
    if not found.hits:
        return False
    top = found.hits[0]
    base = bases.team if found.question.shared else bases.own
    return (
        plain(found.question.needle) in plain(top["text"])
        and top["base_id"] == base
        and not shared_runs(found.question.text, top["text"])
    )


def smallest_error(found: Search, bases: Bases, cosines: Cosines) -> float:
    """Return the error of a search that was answered before or after a switch, whichever it was."""
    return min(cosines.error(found, by_base) for by_base in embedders(bases))


def _question_row(
    recording: Recording, bases: Bases, cosines: Cosines, question: Question
) -> Phased:
    old, new = embedders(bases)

    def moment(observation: Observation, by_base: Embedders) -> Cell:
        found = next(s for s in observation.searches if s.question == question)
        return _cell([found], bases, lambda one: cosines.error(one, by_base))

    moving = [s for s in recording.forth.searches if s.question == question]
    cells = (
        moment(recording.before, old),
        _cell(moving, bases, lambda one: smallest_error(one, bases, cosines)),
        moment(recording.after, new),
        moment(recording.again, old),
    )
    return Phased(question.text, dict(zip(PHASES, cells, strict=True)))


def _cell(searches: Sequence[Search], bases: Bases, error: Callable[[Search], float]) -> Cell:
    if not searches:
        return "not asked", False
    worst = max(error(found) for found in searches)
    right = all(finds(found, bases) for found in searches)
    scores = sorted({f"{found.hits[0]['score']:.3f}" for found in searches if found.hits})
    times = f" in {len(searches)} searches" if len(searches) > 1 else ""
    place = "1st" if right else "not 1st"
    return f"{place}, {'…'.join(scores[:2])} ± {worst:.4f}{times}", right and worst <= TOLERANCE


def _settings_rows(recording: Recording) -> list[Phased]:
    moments = {
        "before": recording.before,
        "after": recording.after,
        "rolled back": recording.again,
    }
    wanted: list[tuple[str, Callable[[Observation], str], Callable[[Observation], bool]]] = [
        ("active engine", _engine, lambda seen: _engine(seen) == _expected(seen, recording)),
        (
            "greedy answer to the same words",
            lambda seen: seen.fresh.text[:_EXCERPT] + "…",
            lambda seen: (
                (seen.fresh.text == recording.before.fresh.text) == (seen is not recording.after)
            ),
        ),
        ("who wrote it", lambda seen: seen.fresh.engine, _wrote_as_active),
        ("system prompt", lambda seen: seen.prompts["system_prompt"][:_EXCERPT] + "…", _own_prompt),
        ("adapter", lambda seen: str(seen.adapter["status"]), _adapter_fits),
    ]
    return [
        Phased(claim, {name: (text(seen), holds(seen)) for name, seen in moments.items()})
        for claim, text, holds in wanted
    ]


def _engine(seen: Observation) -> str:
    upgrade: dict[str, Any] = seen.preference["engine_upgrade"]
    return str(upgrade["active_engine_id"])


def _expected(seen: Observation, recording: Recording) -> str:
    return NEW.model_id if seen is recording.after else OLD.model_id


def _wrote_as_active(seen: Observation) -> bool:
    return seen.fresh.engine == _engine(seen) == seen.continued.engine


def _own_prompt(seen: Observation) -> bool:
    """Ada's edit belongs to the old family; the new one has its own text."""
    edited: bool = seen.prompts["system_prompt"] == EDITED_PROMPT
    return edited == (_engine(seen) == OLD.model_id)


def _adapter_fits(seen: Observation) -> bool:
    valid: bool = seen.adapter["status"] == "active"
    return valid == (_engine(seen) == OLD.model_id)


def plain(text: str) -> str:
    """Return a text without its line breaks and runs of blanks."""
    return " ".join(text.split())
