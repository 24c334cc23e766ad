"""Steps that are put off for as long as somebody else says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from engines.exceptions import FetchedElsewhereError, TransientTransferError
from migrations_app.models import Step
from migrations_app.plans.transitions import MAX_FAILURES, Outcome
from migrations_app.steps.base import StepContext
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.worker.conftest import Install
from tests.worker.plans import first_step, make_plan, story
from worker.steps.runner import run_step

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("keeper")]


def test_what_a_server_asks_to_wait_is_waited(handle: Install) -> None:
    def handler(_ctx: StepContext) -> Outcome:
        raise TransientTransferError("The Hub answered 429.", 300.0)

    handle("verify", handler)
    step = first_step(make_plan())

    assert run_step(step.pk) == "Put back, to be tried again in 300 s: The Hub answered 429."

    step.refresh_from_db()
    assert step.ready_at is not None
    assert step.ready_at - timezone.now() > timedelta(seconds=200)
    assert step.detail == "The Hub answered 429."


def test_waiting_for_anothers_download_is_no_failure(handle: Install) -> None:
    def handler(_ctx: StepContext) -> Outcome:
        raise FetchedElsewhereError("Another process is at it.")

    handle("verify", handler)
    step = first_step(make_plan())
    for _ in range(MAX_FAILURES + 1):
        Step.objects.filter(pk=step.pk).update(ready_at=timezone.now())
        assert run_step(step.pk) == "Put back: Another process is at it."

    step.refresh_from_db()
    assert (step.status, step.failures, step.attempts) == ("pending", 0, 0)
    assert step.ready_at is not None
    assert step.ready_at > timezone.now()


def test_what_is_put_off_again_and_again_is_told_once(handle: Install) -> None:
    def waits(_ctx: StepContext) -> Outcome:
        raise FetchedElsewhereError("Another process is at it.")

    plan = make_plan()
    step = first_step(plan)
    put_off = [("verify", "pending", "in_progress"), ("verify", "in_progress", "pending")]
    handle("verify", waits)
    for _ in range(20):
        Step.objects.filter(pk=step.pk).update(ready_at=timezone.now())
        run_step(step.pk)

    assert story(plan) == [("plan", "pending", "in_progress"), *put_off]

    handle("verify", lambda _ctx: Outcome("Done."))
    Step.objects.filter(pk=step.pk).update(ready_at=timezone.now())
    run_step(step.pk)

    assert story(plan)[3:] == [
        ("verify", "pending", "in_progress"),
        ("verify", "in_progress", "completed"),
        ("plan", "in_progress", "completed"),
    ]
    assert_nothing_wrong()
