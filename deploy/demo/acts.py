"""The story itself: Ada is moved to another engine and taken back, while somebody watches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deploy.demo.bases import wait_until_searchable
from deploy.demo.errors import DemoError
from deploy.demo.flower import task_states
from deploy.demo.models.engine_files import NEW, ensure_adapter_file
from deploy.demo.plans import execute, make_plan, roll_back
from deploy.demo.questions import GROUNDED, QUESTIONS, Question
from deploy.demo.rest import ApiProblemError
from deploy.demo.stage import Cast, Stage
from deploy.demo.texts import Page
from deploy.demo.traffic import Traffic
from deploy.demo.witness import (
    Grounded,
    Observation,
    Search,
    ask_knowledge,
    observe,
    said_in,
    search,
)

NOTE = Page(
    "A note written after the switch",
    "The quince tree behind the reading house flowers in the last week of April. "
    "Odile Marchetti waters it on Thursdays.\n",
)
NOTE_QUESTION = Question("Who looks after the fruit plant in the garden?", "Odile Marchetti")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """How the API refused something."""

    status: int
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything that was seen; the proofs are computed from it afterwards."""

    before: Observation
    forth: Traffic
    after: Observation
    back: Traffic
    again: Observation
    migration: Row
    rollback: Row
    migration_tasks: dict[str, str]
    rollback_tasks: dict[str, str]
    grounded: Grounded
    """What the new engine wrote from Ada's papers."""
    refusal: Refusal
    note_after: Search
    note_again: Search
    said: Sequence[dict[str, str]]
    """The one conversation at its end."""
    stranger: Sequence[Search]
    """What Bob finds with the same questions."""
    stranger_refusal: Refusal

    @property
    def searches(self) -> list[Search]:
        """All searches of Ada and of her second client."""
        seen = [self.before, self.after, self.again]
        own = [found for moment in seen for found in moment.searches]
        return [*own, *self.forth.searches, *self.back.searches, self.note_after, self.note_again]


def play(actors: Cast, stage: Stage) -> Recording:
    """Migrate, look, write something, roll back, look again."""
    console, ada = actors.console, actors.ada
    look = (ada, stage.conversation, stage.adapter)
    before = observe(*look)
    stranger = [search(actors.bob, question) for question in QUESTIONS]

    console.print(f"\n[bold]Migration:[/] Ada moves to {NEW.display_name}")
    plan_id = make_plan(console, ada, NEW.model_id)
    with _watched(actors) as forth:
        migration = execute(console, ada, plan_id)
    migration_tasks = _tasks(actors, migration)
    after = observe(*look)
    grounded = _answer_from_papers(actors)
    refusal = _refused_adapter(actors)
    note_after = _write_note(actors, stage)
    stranger_refusal = _refused_stranger(actors, migration["id"])

    console.print("\n[bold]Rollback:[/] Ada goes back")
    with _watched(actors) as back:
        rollback = roll_back(console, ada, migration["id"])
    return Recording(
        before=before,
        forth=forth,
        after=after,
        back=back,
        again=observe(*look),
        migration=migration,
        rollback=rollback,
        migration_tasks=migration_tasks,
        rollback_tasks=_tasks(actors, rollback),
        grounded=grounded,
        refusal=refusal,
        note_after=note_after,
        note_again=search(ada, NOTE_QUESTION),
        said=[dict(message) for message in said_in(ada, stage.conversation)],
        stranger=stranger,
        stranger_refusal=stranger_refusal,
    )


@contextmanager
def _watched(actors: Cast) -> Iterator[Traffic]:
    """Let a second client ask everything at least once before the block and once after it."""
    with Traffic(actors.site.web, actors.people.ada) as traffic:
        traffic.wait_for_round()
        yield traffic
        traffic.wait_for_round()


def _answer_from_papers(actors: Cast) -> Grounded:
    """Ask about Ada's papers, and show the answer with the passage it was written from."""
    answer = ask_knowledge(actors.ada, actors.site.web, GROUNDED)
    actors.console.print(f"\n[bold]Ada asks:[/] {GROUNDED.text}")
    actors.console.print(f"  {answer.engine}: “{answer.text}.”", markup=False)
    for cited in answer.citations:
        actors.console.print(f"  from [{cited['number']}] {cited['title']}", markup=False)
    return answer


def _tasks(actors: Cast, plan: Row) -> dict[str, str]:
    password = actors.site.data / "flower-password"
    return task_states(actors.site.flower, password, plan["id"])


def _refused_adapter(actors: Cast) -> Refusal:
    """Offer the old engine's adapter for the new engine."""
    path = ensure_adapter_file(actors.site.hub_root, actors.site.demo)
    fields = {"name": "ada-tone-on-the-new-engine", "base_model": NEW.model_id}
    try:
        actors.ada.upload("adapters", fields, path)
    except ApiProblemError as error:
        return _refusal(error)
    raise DemoError("The old engine's adapter was accepted for the new engine.")


def _refused_stranger(actors: Cast, plan_id: str) -> Refusal:
    """Ask for Ada's plan as Bob."""
    try:
        actors.bob.get(f"plans/{plan_id}")
    except ApiProblemError as error:
        return _refusal(error)
    raise DemoError("Bob can read Ada's plan.")


def _refusal(error: ApiProblemError) -> Refusal:
    return Refusal(error.status, str(error.problem.get("code")), str(error))


def _write_note(actors: Cast, stage: Stage) -> Search:
    """Add a document on the new engine; it is there as soon as it is embedded."""
    body = {"title": NOTE.title, "text": NOTE.text}
    actors.ada.post(f"knowledge-bases/{stage.bases.own}/documents", body)
    wait_until_searchable(actors.console, stage.bases)
    return search(actors.ada, NOTE_QUESTION)
