from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from engines.exceptions import IllegalMoveError, NotFoundError
from engines.models import Notice, NoticeKind
from engines.moments import day_in_words
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.plans.transitions import (
    MAX_FAILURES,
    Outcome,
    ask_operator,
    claim_step,
    finish_step,
    move_plan,
    moves,
    release_step,
    request_cancel,
    request_pause,
    retry_step,
    start_plan,
    withdraw_confirmation,
)
from migrations_app.states import (
    HOUSEKEEPING,
    MOVES,
    PLAN_FINAL,
    POINT_OF_NO_RETURN,
    STEP_FINAL,
    STEPS_OF,
    PlanKind,
    PlanStatus,
    StepStatus,
)
from tests.worker.plans import first_step, make_host, make_plan, rows

pytestmark = pytest.mark.django_db

# Written down a second time on purpose: the table in states.py cannot change unseen.
PLAN_MOVES = {
    ("pending", "in_progress"),
    ("pending", "cancelled"),
    ("in_progress", "paused"),
    ("paused", "in_progress"),
    ("paused", "cancelled"),
    ("in_progress", "completed"),
    ("in_progress", "failed"),
    ("in_progress", "cancelled"),
    ("completed", "rolled_back"),
}
STEP_MOVES = {
    ("pending", "in_progress"),
    ("pending", "cancelled"),
    ("pending", "needs_operator"),
    ("in_progress", "pending"),
    ("in_progress", "completed"),
    ("in_progress", "failed"),
    ("in_progress", "cancelled"),
    ("in_progress", "needs_operator"),
    ("needs_operator", "pending"),
    ("needs_operator", "cancelled"),
}


def plan_in(status: str) -> Plan:
    return Plan.objects.create(kind=PlanKind.VERIFY, status=status)


def step_in(status: str) -> Step:
    lease = timezone.now() if status == "in_progress" else None
    return Step.objects.create(
        plan=plan_in("in_progress"),
        position=0,
        kind="verify",
        status=status,
        fence=1,
        lease_until=lease,
    )


@pytest.mark.parametrize(("old", "new"), [*product(PlanStatus.values, repeat=2)])
def test_a_plan_moves_only_as_the_table_says(old: str, new: str) -> None:
    plan = plan_in(old)
    if (old, new) in PLAN_MOVES:
        moves.move_plan_status(plan, PlanStatus(new), who="ada", why="Test.")
        events = list(PlanEvent.objects.values_list("from_status", "to_status", "who", "why"))
        assert (Plan.objects.get().status, events) == (new, [(old, new, "ada", "Test.")])
        plan.refresh_from_db()
        assert (plan.started_at is not None) == (new == "in_progress")
        assert (plan.finished_at is not None) == (new in PLAN_FINAL)
    else:
        with pytest.raises(IllegalMoveError, match=f"is {old} cannot become {new}"):
            moves.move_plan_status(plan, PlanStatus(new), who="ada", why="Test.")
        assert (Plan.objects.get().status, PlanEvent.objects.count()) == (old, 0)


@pytest.mark.parametrize(("old", "new"), [*product(StepStatus.values, repeat=2)])
def test_a_step_moves_only_as_the_table_says(old: str, new: str) -> None:
    step = step_in(old)
    if (old, new) in STEP_MOVES:
        step.lease_until = timezone.now() if new == "in_progress" else None
        moves.move_step_status(step, StepStatus(new), who="ada", why="Test.")
        events = list(PlanEvent.objects.values_list("from_status", "to_status", "who", "why"))
        assert (Step.objects.get().status, events) == (new, [(old, new, "ada", "Test.")])
    else:
        with pytest.raises(IllegalMoveError, match=f"is {old} cannot become {new}"):
            moves.move_step_status(step, StepStatus(new), who="ada", why="Test.")
        assert (Step.objects.get().status, PlanEvent.objects.count()) == (old, 0)


@pytest.mark.parametrize("status", sorted(STEP_FINAL), ids=lambda status: str(status))
def test_a_step_that_ended_has_no_holder(status: StepStatus) -> None:
    step = step_in("in_progress")
    Step.objects.filter(pk=step.pk).update(owner="worker")
    step.refresh_from_db()

    moves.move_step_status(step, status, who="ada", why="Test.")

    step.refresh_from_db()
    assert (step.owner, step.lease_until, step.finished_at is None) == ("", None, False)


def test_a_plan_tells_where_it_is_and_what_waits_for_an_operator_begins_anew() -> None:
    plan = make_plan(PlanKind.MIGRATE)
    first = first_step(plan)
    plan.refresh_from_db()
    assert (plan.current_step, plan.progress_percentage) == ("fetch_engine", 0.0)
    assert plan.started_at is not None

    beside = make_plan(PlanKind.MIGRATE)
    before = rows(beside)
    claim = claim_step(first.pk, "me")
    assert claim is not None
    finish_step(claim, Outcome("Fetched."))
    assert rows(beside) == before
    plan.refresh_from_db()
    assert plan.current_step == "back_up"
    assert plan.progress_percentage == pytest.approx(100 / 6)

    second = plan.steps.get(kind="back_up")
    Step.objects.filter(pk=second.pk).update(attempts=3, failures=2, publish_count=7)
    assert ask_operator(second.pk, who="me", error="Nobody can.") is True
    retry_step(plan.pk, who="me")
    second.refresh_from_db()
    assert (second.status, second.attempts, second.failures) == ("pending", 0, 0)
    assert (second.publish_count, second.published_at) == (0, None)

    assert ask_operator(second.pk, who="me", error="Nobody can.") is True
    request_cancel(plan.pk, who="me")
    others = plan.steps.exclude(pk=first.pk).values_list("status", flat=True)
    assert set(others) == {"cancelled"}


def test_a_claim_takes_its_own_step_and_what_is_given_up_has_no_holder() -> None:
    held, step = step_in("in_progress"), step_in("pending")
    Step.objects.filter(pk=step.pk).update(ready_at=timezone.now(), failures=MAX_FAILURES - 1)
    beside = rows(held.plan)
    claim = claim_step(step.pk, "a")
    assert claim is not None
    assert rows(held.plan) == beside

    release_step(claim, why="The disk is full.", failed=True)

    step.refresh_from_db()
    assert (step.status, step.owner, step.lease_until) == ("needs_operator", "", None)


def test_a_plan_that_starts_after_all_has_no_error_any_more() -> None:
    plan = plan_in("pending")
    Plan.objects.filter(pk=plan.pk).update(error_message="Its host was away.")

    start_plan(plan.pk, who="ada")

    plan.refresh_from_db()
    assert (plan.status, plan.error_message) == ("in_progress", "")


def test_a_plan_keeps_the_times_of_its_first_start_and_its_first_end() -> None:
    long_ago = timezone.now() - timedelta(days=3)
    paused, completed = plan_in("paused"), plan_in("completed")
    Plan.objects.update(started_at=long_ago, finished_at=long_ago)
    for plan in (paused, completed):
        plan.refresh_from_db()

    moves.move_plan_status(paused, PlanStatus.IN_PROGRESS, who="ada", why="Test.")
    moves.move_plan_status(completed, PlanStatus.ROLLED_BACK, who="ada", why="Test.")

    assert set(Plan.objects.values_list("started_at", "finished_at")) == {(long_ago, long_ago)}


@pytest.mark.parametrize("status", ["paused", "completed", "cancelled", "failed"])
def test_what_is_not_open_does_not_move_to_another_host(status: str) -> None:
    plan = make_plan(PlanKind.MIGRATE)
    Plan.objects.filter(pk=plan.pk).update(status=status)
    before = rows(plan)

    with pytest.raises(IllegalMoveError, match=f"is {status}; only an open one can be moved"):
        move_plan(plan.pk, make_host("other"), who="ada", why="Test.")

    assert rows(plan) == before


def test_a_plan_that_is_cancelled_twice_is_cancelled_once() -> None:
    plan = make_plan(PlanKind.MIGRATE)
    request_cancel(plan.pk, who="ada")
    before, told = rows(plan), PlanEvent.objects.count()

    assert request_cancel(plan.pk, who="bob").status == "cancelled"

    assert (rows(plan), PlanEvent.objects.count()) == (before, told)


@pytest.mark.parametrize("status", ["failed", "completed", "rolled_back"])
def test_what_has_ended_is_not_cancelled_any_more(status: str) -> None:
    plan = plan_in(status)
    if status == "rolled_back":
        # That its switch was committed is over too.
        Step.objects.create(plan=plan, position=0, kind="cut_over", status="completed")
    before = rows(plan)

    with pytest.raises(IllegalMoveError, match=f"is {status}; only an open plan can be cancelled"):
        request_cancel(plan.pk, who="ada")

    assert rows(plan) == before


@pytest.mark.parametrize("ask", [start_plan, request_cancel, retry_step, request_pause])
def test_a_plan_that_is_not_there_is_told_by_a_sentence(ask: Callable[..., object]) -> None:
    with pytest.raises(NotFoundError, match="There is no such plan"):
        ask(uuid4(), who="ada")


def test_who_finishes_a_step_waits_for_nobody_for_long_and_changes_no_other_plan() -> None:
    claim, other = claim_step(first_step(make_plan()).pk, "me"), make_plan(PlanKind.MIGRATE)
    before = rows(other)
    assert claim is not None
    limits: list[str] = []

    def look() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            limits.append(cursor.fetchone()[0])

    finish_step(claim, Outcome("Done.", effects=look))

    assert limits == ["2s"]
    assert rows(other) == before


def test_an_operator_is_not_asked_about_a_step_that_somebody_holds() -> None:
    plan = make_plan()
    claim = claim_step(first_step(plan).pk, "me")
    before = rows(plan)

    assert claim is not None
    assert ask_operator(claim.step_id, who="sweeper", error="Nobody can.") is False

    assert rows(plan) == before


def test_who_is_told_that_a_plan_is_done_is_told_until_when_it_can_be_taken_back() -> None:
    ada = User.objects.create_user("ada")
    plan = make_plan(PlanKind.RE_EMBED)
    Plan.objects.filter(pk=plan.pk).update(user=ada)
    plan.steps.exclude(kind="cut_over").update(status="completed")
    last = plan.steps.get(kind="cut_over")
    Step.objects.filter(pk=last.pk).update(ready_at=timezone.now())
    claim = claim_step(last.pk, "me")
    assert claim is not None
    until = timezone.now() + timedelta(days=30)

    def switch() -> None:
        Plan.objects.filter(pk=plan.pk).update(retention_until=until)

    finish_step(claim, Outcome("Switched.", effects=switch))

    told = Notice.objects.get(user=ada, kind=NoticeKind.PLAN_DONE)
    assert f"It can be taken back until {day_in_words(until)}." in told.text


@pytest.mark.parametrize("kind", sorted(MOVES))
def test_whoever_is_switched_was_fetched_for_and_proved_right_before(kind: PlanKind) -> None:
    steps = STEPS_OF[kind]
    (switch,) = POINT_OF_NO_RETURN & set(steps)
    position = steps.index(switch)

    assert steps[0] == "fetch_engine"
    assert steps[position - 1] == {"cut_over": "probe", "cut_back": "probe_back"}[switch]
    assert set(steps[position + 1 :]) <= HOUSEKEEPING


@pytest.mark.parametrize(("status", "confirmed"), [("pending", False), ("in_progress", True)])
def test_what_nobody_waits_to_start_has_nothing_to_withdraw(status: str, confirmed: bool) -> None:
    plan = plan_in(status)
    plan.confirmed_at = timezone.now() if confirmed else None
    plan.save()

    assert not withdraw_confirmation(plan.pk, who="ada", why="Test.")
    plan.refresh_from_db()
    assert (plan.error_message, plan.confirmed_at is not None) == ("", confirmed)
    assert not PlanEvent.objects.filter(plan=plan).exists()
