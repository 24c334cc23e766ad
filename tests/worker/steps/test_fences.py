"""What a fence is worth while somebody waits for the row: who finishes is finished, or was overtaken; never both."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from migrations_app.models import Plan, Step
from migrations_app.plans.transitions import (
    Claim,
    Outcome,
    claim_step,
    finish_step,
    request_cancel,
)
from tests.worker.plans import first_step, make_plan

pytestmark = pytest.mark.django_db(transaction=True)


def claim_beside(step_id: int) -> Claim | None:
    """As another process does."""

    def claim() -> Claim | None:
        try:
            return claim_step(step_id, "you")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(claim).result(timeout=60)


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


def test_a_step_of_a_plan_to_be_cancelled_is_not_taken_over_from_the_dead() -> None:
    plan, other = make_plan(), make_plan()
    step = first_step(plan)
    assert claim_step(step.pk, "me") is not None
    request_cancel(plan.pk, who="ada")
    assert Plan.objects.get(pk=plan.pk).status == "in_progress"
    Step.objects.filter(pk=step.pk).update(lease_until=timezone.now() - timedelta(seconds=1))

    assert claim_step(step.pk, "you") is None

    assert Plan.objects.get(pk=plan.pk).status == "cancelled"
    assert Plan.objects.get(pk=other.pk).status == "in_progress"
