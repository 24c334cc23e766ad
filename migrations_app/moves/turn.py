"""The background of mass moves: a turn plans whose turn it is, and starts as many as may run.

Each person is a small transaction of their own, so a worker may be killed anywhere: what is written is
done, what is not comes again. One lock lets only one take a turn.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from engines.db.session_locks import only_one
from engines.exceptions import ConflictError, HostUnavailableError, SamError
from engines.services.people.preferences import preference_of
from migrations_app.audit.actor import SYSTEM, Actor, acting_as
from migrations_app.audit.rows import AuditDoor
from migrations_app.controller import MigrationController, get_migration_controller
from migrations_app.models import MassMove, MassMoveLine, Step
from migrations_app.moves.meaning import preview_moves
from migrations_app.states import PLAN_OPEN, PlanStatus, StepStatus

LOCK = 0x53414D03
"""Any number that no other advisory lock of this database has."""
TURN_SECONDS = 5.0
"""A turn holds a thread of the control worker, which also switches people."""
SLICE = 50
RUNNING = (PlanStatus.IN_PROGRESS, PlanStatus.PAUSED)


@dataclass(slots=True)
class Turn:
    """What one turn did, and whether people still wait to be planned."""

    planned: int = 0
    started: int = 0
    refused: int = 0
    cancelled: int = 0
    has_more: bool = False

    def describe(self) -> str:
        """Return a sentence."""
        return (
            f"{self.planned} people planned, {self.started} moves started, {self.refused} refused, "
            f"{self.cancelled} cancelled."
        )


def has_mass_moves() -> bool:
    """Whether a mass move is under way."""
    return MassMove.objects.filter(finished_at=None).exists()


def take_turn(seconds: float = TURN_SECONDS) -> Turn:
    """Go on with the mass moves for so many seconds; nothing when another worker does."""
    done = Turn()
    deadline = time.monotonic() + seconds
    with only_one(LOCK) as mine:
        if not mine:
            return done
        moves = MassMove.objects.filter(finished_at=None).select_related("to_engine", "created_by")
        for move in moves.order_by("pk"):
            with acting_as(partial(_name_starter, move)):
                _MoveTurn(move, done, deadline).go_on()
    return done


def _name_starter(move: MassMove) -> Actor:
    starter = move.created_by
    name, key = (starter.get_username(), starter.pk) if starter else (SYSTEM, None)
    return Actor(name, key, AuditDoor.SYSTEM)


class _MoveTurn:
    def __init__(self, move: MassMove, done: Turn, deadline: float) -> None:
        self.move = move
        self.done = done
        self.deadline = deadline

    @property
    def controller(self) -> MigrationController:
        return get_migration_controller()

    @property
    def actor(self) -> User | None:
        return self.move.created_by

    def go_on(self) -> None:
        if self.move.cancel_requested_at is not None:
            self._cancel_rest()
        else:
            self._plan_and_start()
        self._finish()

    def _plan_and_start(self) -> None:
        waits_for = ""
        try:
            self._start_next()
            while time.monotonic() < self.deadline and self._plan_slice():
                self._start_next()
            self._start_next()
            waits_for = self._say_held_up()
            self.done.has_more |= self._waiting().exists()
        except HostUnavailableError as error:
            waits_for = str(error)
        if waits_for != self.move.waits_for:
            MassMove.objects.filter(pk=self.move.pk).update(waits_for=waits_for)

    def _say_held_up(self) -> str:
        """Say that nobody more can start while plans wait for an operator; empty while one can."""
        running = self.move.lines.filter(plan__status__in=RUNNING)
        steps = Step.objects.filter(plan=OuterRef("plan"), status=StepStatus.NEEDS_OPERATOR)
        asking = running.filter(Exists(steps)).count()
        if asking < self.move.at_once or not self._planned().exists():
            return ""
        return (
            f"{asking} of its plans wait for an operator, and {self.move.at_once} may run at the same "
            "time; retry or abandon these."
        )

    def _waiting(self) -> QuerySet[MassMoveLine]:
        return self.move.lines.filter(handled_at=None, move__cancel_requested_at=None)

    def _plan_slice(self) -> bool:
        """Plan some whose turn it is; False when there is nobody."""
        lines = list(self._waiting().select_related("user").order_by("id")[:SLICE])
        people = User.objects.filter(pk__in=[line.user_id for line in lines if line.user_id])
        refusals = {p.person.pk: p.refusal for p in preview_moves(people, self.move.to_engine)}
        for line in lines:
            if time.monotonic() >= self.deadline:
                break
            self._plan(line, refusals)
        return bool(lines)

    def _plan(self, line: MassMoveLine, refusals: dict[int, str]) -> None:
        if line.user_id not in refusals:
            # Deleted: the line stays, without refusal and plan.
            self._unplanned(line).update(handled_at=timezone.now())
        elif refusals[line.user_id]:
            self._refuse(line, refusals[line.user_id])
        else:
            try:
                self._make_plan(line)
            except HostUnavailableError:
                # That is about nobody in particular: all of them wait until a host is back.
                raise
            except SamError as error:
                self._refuse(line, str(error))

    def _make_plan(self, line: MassMoveLine) -> None:
        move = self.move
        if line.user is not None:
            # Before the line is locked: whoever deletes a person locks this row first, and then the line.
            preference_of(line.user)
        with transaction.atomic():
            # The plan and the line that names it are one: no second plan after a kill between them.
            mine = self._unplanned(line).select_for_update(no_key=True, of=("self",)).first()
            if mine is None or mine.user_id is None:
                return
            plan = self.controller.create_migration_plan(
                "current",
                move.to_engine.model_id,
                mine.user_id,
                backup_lora=move.backup_lora_adapters,
                re_embed=move.re_embed_knowledge,
                update_prompts=move.update_prompt_templates,
                accept_losses=move.accept_losses,
                actor=self.actor,
            )
            mine.plan_id, mine.handled_at = UUID(plan), timezone.now()
            mine.save(update_fields=["plan", "handled_at"])
        self.done.planned += 1

    def _refuse(self, line: MassMoveLine, why: str) -> None:
        self._unplanned(line).update(handled_at=timezone.now(), refusal=why)
        self.done.refused += 1

    def _unplanned(self, line: MassMoveLine) -> QuerySet[MassMoveLine]:
        return MassMoveLine.objects.filter(pk=line.pk, handled_at=None)

    def _start_next(self) -> None:
        """Start planned ones until as many run as may; those that a person put off are theirs."""
        free = self.move.at_once - self.move.lines.filter(plan__status__in=RUNNING).count()
        if free <= 0:
            return
        for line in self._planned().order_by("id")[:free]:
            self._start(line)

    def _planned(self) -> QuerySet[MassMoveLine]:
        return self.move.lines.filter(
            plan__status=PlanStatus.PENDING, plan__confirmed_at=None, refusal=""
        )

    def _start(self, line: MassMoveLine) -> None:
        plan = str(line.plan_id)
        try:
            self.controller.execute_where_possible(plan, actor=self.actor)
        except HostUnavailableError:
            # As where they are planned: it is about nobody in particular.
            raise
        except SamError as error:
            with transaction.atomic():
                self._cancel(plan)
                mine = MassMoveLine.objects.filter(pk=line.pk, plan=line.plan_id)
                mine.update(refusal=str(error))
            self.done.refused += 1
        else:
            self.done.started += 1

    def _cancel_rest(self) -> None:
        rest = self.move.lines.filter(plan__status__in=PLAN_OPEN, plan__cancel_requested_at=None)
        for key in rest.order_by("id").values_list("plan", flat=True)[: SLICE * SLICE]:
            if time.monotonic() >= self.deadline:
                self.done.has_more = True
                return
            self.done.cancelled += self._cancel(str(key))

    def _cancel(self, plan: str) -> bool:
        try:
            return self.controller.cancel_migration(plan, actor=self.actor)
        except ConflictError:
            # It has switched, or ended, a moment ago: it settles by itself.
            return False

    def _finish(self) -> None:
        open_lines = self.move.lines.filter(plan__status__in=PLAN_OPEN)
        if self._waiting().exists() or open_lines.exists():
            return
        with transaction.atomic():
            # A retry may have given people another turn a moment ago.
            move = MassMove.objects.select_for_update(no_key=True).get(pk=self.move.pk)
            if move.cancel_requested_at is None and move.lines.filter(handled_at=None).exists():
                return
            move.finished_at = timezone.now()
            move.waits_for = ""
            move.save(update_fields=["finished_at", "waits_for"])
