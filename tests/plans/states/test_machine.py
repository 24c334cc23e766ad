"""Random faults over the real transitions; and proof that the machine would see what it looks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from engines.exceptions import IllegalMoveError
from migrations_app.models import Plan, Step
from migrations_app.plans.transitions import Claim, LeaseLostError, claims, moves
from migrations_app.states import PlanKind, StepStatus
from tests.plans.states.machine import PlansUnderFaults
from worker import sweeper

pytestmark = pytest.mark.django_db

FEW = settings(
    max_examples=4,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
MANY = settings(FEW, max_examples=400, stateful_step_count=60)
UNTIL_FOUND = settings(FEW, max_examples=1000)


Mutate = Callable[[pytest.MonkeyPatch], None]


def run(how: settings) -> None:
    run_state_machine_as_test(PlansUnderFaults, settings=how)


def test_whatever_happens_nothing_is_lost_doubled_or_stuck() -> None:
    run(FEW)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whatever_happens_for_long_nothing_is_lost_doubled_or_stuck() -> None:
    run(MANY)


def without_sweeper(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sweeper, "_send_due_steps", lambda: 0)
    patch.setattr(sweeper, "_cancel_asked", lambda: 0)


def without_compare_and_set(patch: pytest.MonkeyPatch) -> None:
    """A claim that looks at the step, but not at whether somebody holds it."""

    def claimable(step_id: int) -> Step | None:
        open_ = [StepStatus.PENDING, StepStatus.IN_PROGRESS]
        steps = Step.objects.select_related("plan").filter(pk=step_id, ready_at__isnull=False)
        return steps.filter(status__in=open_).first()

    patch.setattr(claims, "_claimable", claimable)


def without_cancel_check(patch: pytest.MonkeyPatch) -> None:
    real = moves.lock_plan_row

    def lock_plan_row(plan_id: Any) -> Plan:
        plan = real(plan_id)
        plan.cancel_requested_at = None
        return plan

    patch.setattr(claims, "lock_plan_row", lock_plan_row)


def without_fence_check(patch: pytest.MonkeyPatch) -> None:
    def lock_held(claim: Claim, *, allow_completed: bool = False) -> Step:
        step = Step.objects.get(pk=claim.step_id)
        if step.status not in (StepStatus.IN_PROGRESS, StepStatus.COMPLETED):
            raise LeaseLostError("It has ended.")
        return step

    patch.setattr(claims, "_lock_held", lock_held)


def lose_every_message(_world: PlansUnderFaults) -> None:
    """Nothing more happens: only the sweeper can end the plan, and the world asks for that at its end."""


def deliver_a_message_twice(world: PlansUnderFaults) -> None:
    world.deliver_what_is_due(0)
    step = Step.objects.get(status=StepStatus.IN_PROGRESS)
    world.deliver_any_message(list(Step.objects.order_by("pk")).index(step))


def cancel_and_finish(world: PlansUnderFaults) -> None:
    world.deliver_what_is_due(0)
    world.cancel(1)
    world.finish(0)


def overtake_and_finish(world: PlansUnderFaults) -> None:
    world.deliver_what_is_due(0)
    world.let_leases_end()
    world.deliver_what_is_due(0)
    world.finish(0)


MUTANTS: dict[str, tuple[Mutate, Callable[[PlansUnderFaults], None], str]] = {
    "no sweeper": (without_sweeper, lose_every_message, "waits for ever"),
    "no compare-and-set": (
        without_compare_and_set,
        deliver_a_message_twice,
        "taken from somebody who holds it",
    ),
    "no cancel check": (without_cancel_check, cancel_and_finish, "it was to be cancelled"),
    "no fence check": (
        without_fence_check,
        overtake_and_finish,
        "who was overtaken changed something",
    ),
}


def act_out(script: Callable[[PlansUnderFaults], None]) -> None:
    world = PlansUnderFaults()
    try:
        world.begin(kind=PlanKind.RE_EMBED)
        script(world)
        world.nothing_is_doubled_lost_or_out_of_order()
    except BaseException:
        transaction.savepoint_rollback(world.savepoint)
        raise
    world.teardown()


@pytest.mark.parametrize("name", MUTANTS)
def test_the_machine_sees_each_mutant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few moves that are right as the code is, and wrong in the machine's eyes without one of its parts."""
    mutate, script, sentence = MUTANTS[name]
    act_out(script)

    mutate(monkeypatch)
    with pytest.raises(AssertionError, match=sentence):
        act_out(script)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MUTANTS)
def test_chance_finds_each_mutant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a sentence of the machine's, or by the table of moves, which refuses what the mutant tries."""
    MUTANTS[name][0](monkeypatch)

    with pytest.raises((AssertionError, IllegalMoveError)):
        run(UNTIL_FOUND)
