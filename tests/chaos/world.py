"""Many people with little to move: two tiny real engines, a base of short texts each."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random

from django.contrib.auth.models import User

from engines.exceptions import SamError
from engines.models import KnowledgeBase, ModelRevision
from engines.services.engine_choice import effective_engine
from engines.services.knowledge.documents import add_document, create_base
from engines.services.people.preferences import EngineChoice, preference_of, write_preference
from migrations_app.backups import start_backup
from migrations_app.controller import MigrationController
from migrations_app.library import ModelLibraryManager
from migrations_app.models import Plan
from migrations_app.states import PLAN_OPEN, PlanKind, PlanStatus
from tests.world.people import NEW, OLD, make_catalog, place_model, sentence
from tests.world.workers import Workers

TEXTS = 48
"""Of one person: more than one batch, so that a batch that is lost is a small part of the work."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """The people and their two engines."""

    people: list[User]
    engines: tuple[ModelRevision, ModelRevision]


def make_crowd(endpoint: str, workers: Workers, scratch: Path, count: int) -> Crowd:
    """Make people on the old engine, whose file is on the host; the new one's is at the Hub only."""
    shutil.rmtree(workers.models, ignore_errors=True)
    old, new = make_catalog(endpoint)
    path = place_model(old, workers.models, scratch)
    people = [User.objects.create_user(f"person-{number}") for number in range(count)]
    for number, user in enumerate(people):
        base = create_base(owner=user, name="Notes")
        for text in range(TEXTS):
            _write(base, number * TEXTS + text)
        choice = EngineChoice(old.model, old, "llama", str(path))
        write_preference(preference_of(user), choice, why="The beginning.")
    return Crowd(people, (old, new))


class Wishes:
    """What people ask for, one thing after the other: by chance, but only what makes sense."""

    def __init__(self, crowd: Crowd, random: Random) -> None:
        self._crowd = crowd
        self._random = random
        self._controller = MigrationController()
        self._texts = 1_000_000
        self.made: list[str] = []

    def ask(self) -> bool:
        """Have somebody who has no open plan ask for one; False when SAM says that it cannot be now."""
        busy = Plan.objects.filter(status__in=PLAN_OPEN).values("user")
        idle = User.objects.filter(pk__in=[p.pk for p in self._crowd.people]).exclude(pk__in=busy)
        people = list(idle.order_by("pk"))
        if not people:
            return False
        user = self._random.choice(people)
        wish = self._random.choices(
            [self._migrate, self._go_back, self._back_up, self._verify], weights=[6, 2, 1, 1]
        )[0]
        self._write_something(user)
        try:
            plan_id = wish(user)
        except SamError:
            return False
        self.made.append(plan_id)
        if self._random.random() < 1 / 12:
            self._cancel(plan_id)
        return True

    def open_plans(self) -> int:
        return Plan.objects.filter(pk__in=self.made, status__in=PLAN_OPEN).count()

    def _migrate(self, user: User) -> str:
        current, _ = effective_engine(user)
        target = OLD if current is not None and current.model_id == NEW else NEW
        plan_id = self._controller.create_migration_plan("current", target, user.pk)
        self._controller.execute_migration(plan_id)
        return str(plan_id)

    def _go_back(self, user: User) -> str:
        done = Plan.objects.filter(
            user=user, kind=PlanKind.MIGRATE, status=PlanStatus.COMPLETED
        ).order_by("finished_at")
        last = done.last()
        if last is None:
            return self._migrate(user)
        return str(self._controller.roll_back_migration(last.pk))

    def _back_up(self, user: User) -> str:
        return str(start_backup(user, actor=user).pk)

    def _verify(self, user: User) -> str:
        if not ModelLibraryManager().verify_model(OLD):
            return self._migrate(user)
        return str(Plan.objects.filter(kind=PlanKind.VERIFY).latest("created_at").pk)

    def _cancel(self, plan_id: str) -> None:
        try:
            self._controller.cancel_migration(plan_id)
        except SamError:
            return

    def _write_something(self, user: User) -> None:
        self._texts += 1
        _write(KnowledgeBase.objects.get(owner=user), self._texts)


def _write(base: KnowledgeBase, number: int) -> None:
    add_document(base.pk, title=f"Note {number}", text=sentence(number), media_type="text/plain")
