"""Mass moves that are held up say by whom, and tell what became of people for as long as they are kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from migrations_app.collection.collect import collect, own_place
from migrations_app.models import MassMove, Plan, Step
from migrations_app.moves.turn import take_turn
from migrations_app.plans.transitions import retry_step
from migrations_app.states import StepStatus
from tests.api.roles import Engines, People
from tests.moves.test_mass_moves import begin, end, engines, people, plan_of, states

__all__ = ["engines", "people"]


def test_plans_that_wait_for_an_operator_are_named_where_nobody_else_can_start(
    people: People, engines: Engines
) -> None:
    move = begin(people, engines, "alice bob", at_once=1)
    take_turn()
    asking = plan_of(people.alice)
    first = asking.steps.order_by("position")[0]
    Step.objects.filter(pk=first.pk).update(status=StepStatus.NEEDS_OPERATOR)

    take_turn()

    move.refresh_from_db()
    assert states(move) == {"alice": "running", "bob": "planned"}
    assert move.waits_for == (
        "1 of its plans wait for an operator, and 1 may run at the same time; retry or abandon these."
    )
    retry_step(asking.pk, who="oscar")
    take_turn()

    move.refresh_from_db()
    assert move.waits_for == ""


def test_nobody_counts_as_deleted_while_the_move_is_kept(people: People, engines: Engines) -> None:
    move = begin(people, engines, "alice bob", at_once=1)
    take_turn()
    end(people.alice)
    history = timedelta(days=settings.SAM_HISTORY_DAYS)
    Plan.objects.filter(user=people.alice).update(finished_at=timezone.now() - history * 2)

    collect(own_place())

    assert states(move) == {"alice": "completed", "bob": "planned"}

    end(people.bob)
    Plan.objects.update(finished_at=timezone.now())
    take_turn()
    just_before = timezone.now() + history - timedelta(minutes=5)
    collect(replace(own_place(), now=just_before))
    assert states(move) == {"alice": "completed", "bob": "completed"}

    gone = timezone.now() + history + timedelta(minutes=5)
    collect(replace(own_place(), now=gone))
    collect(replace(own_place(), now=gone))
    assert not MassMove.objects.exists()
    assert not Plan.objects.exists()
