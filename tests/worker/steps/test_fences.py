"""What a fence is worth while somebody waits for the row: who finishes is finished, or was overtaken; never both."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.plans.transitions import (
    Claim,
    LeaseLostError,
    Outcome,
    ask_operator,
    claim_step,
    finish_step,
    request_cancel,
)
from migrations_app.steps.base import StepContext
from tests.worker.conftest import Install
from tests.worker.plans import first_step, make_plan, rows
from tests.worker.processes import wait_until
from worker.steps.runner import STOPPED, run_step

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("keeper")]

Done = TypeVar("Done")


def as_another(work: Callable[[], Done]) -> Done:
    """Do it on connections of its own, as another process does."""
    try:
        return work()
    finally:
        connections.close_all()


def claim_beside(step_id: int) -> Claim | None:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(as_another, lambda: claim_step(step_id, "you")).result(timeout=60)


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


def test_a_holder_whose_own_clock_ran_out_stops_and_leaves_the_step_to_be_taken_over(
    handle: Install,
) -> None:
    def handler(ctx: StepContext) -> Outcome:
        before.extend(rows(ctx.plan))
        raise LeaseLostError("The lease could not be renewed in time; stopped untouched.")

    before: list[Any] = []
    handle("verify", handler)
    plan = make_plan()

    assert run_step(first_step(plan).pk) == STOPPED

    assert rows(plan) == before
    Step.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert claim_step(first_step(plan).pk, "you") is not None


def test_a_step_that_is_just_being_finished_is_not_taken_over_although_its_lease_ended() -> None:
    step = first_step(make_plan())
    claim = claim_step(step.pk, "me")
    assert claim is not None
    Step.objects.filter(pk=step.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    taken: list[Claim | None] = []

    finish_step(claim, Outcome("Done.", effects=lambda: taken.append(claim_beside(step.pk))))

    step.refresh_from_db()
    assert taken == [None]
    assert (step.status, step.fence) == ("completed", claim.fence)


def test_an_operator_is_not_asked_about_a_step_that_is_just_being_claimed() -> None:
    step = first_step(make_plan())
    ask = partial(ask_operator, step.pk, who="sweeper", error="Nobody can.")

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            claim = claim_step(step.pk, "me")
            asked = thread.submit(as_another, ask)
            wait_until(somebody_waits, "the sweeper to wait for the row")
        assert asked.result(timeout=60) is False

    assert claim is not None
    step.refresh_from_db()
    assert (step.status, step.fence, step.owner) == ("in_progress", claim.fence, "me")


def test_a_step_of_a_plan_to_be_cancelled_is_not_taken_over_from_the_dead() -> None:
    plan, other = make_plan(), make_plan()
    step = first_step(plan)
    assert claim_step(step.pk, "me") is not None
    request_cancel(plan.pk, who="ada")
    assert Plan.objects.get(pk=plan.pk).status == "in_progress"
    asked = PlanEvent.objects.get(plan=plan, why="Cancel requested.")
    assert asked.who == "ada"
    Step.objects.filter(pk=step.pk).update(lease_until=timezone.now() - timedelta(seconds=1))

    assert claim_step(step.pk, "you") is None

    assert Plan.objects.get(pk=plan.pk).status == "cancelled"
    assert Plan.objects.get(pk=other.pk).status == "in_progress"
