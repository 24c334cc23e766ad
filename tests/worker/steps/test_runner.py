from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from engines.exceptions import (
    EngineCrashed,
    InvalidRequestError,
    LoadCrashed,
    TransferError,
    TransientTransferError,
)
from migrations_app.models import Plan, Step
from migrations_app.plans.transitions import Outcome, claim_step, finish_step, request_cancel
from migrations_app.states import PlanKind
from migrations_app.steps.base import StepContext, TryAgainError
from tests.worker.conftest import Install
from tests.worker.plans import first_step, make_host, make_plan, rows, story
from worker.steps.lease import LeaseKeeper
from worker.steps.runner import STOPPED, StepFailedError, run_step

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("keeper")]

NOTHING_TO_DO = "Nothing to do: the step is held, done, cancelled or not ready."


def done(ctx: StepContext) -> Outcome:
    return Outcome("Looked at it.", {"seen": ctx.step.pk})


def mark() -> None:
    """Leave a mark that shows whether the effects were committed."""
    Plan.objects.update(knowledge_base_size=7)


def expire_lease(step: Step) -> None:
    Step.objects.filter(pk=step.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_ready_step_is_run_and_its_plan_completed(handle: Install) -> None:
    handle("verify", done)
    plan = make_plan()
    step = first_step(plan)

    assert run_step(step.pk) == "Looked at it."

    step.refresh_from_db()
    assert (step.status, step.result, step.progress) == ("completed", {"seen": step.pk}, 1.0)
    assert (step.owner, step.lease_until, step.fence, step.attempts) == ("", None, 1, 1)
    assert story(plan) == [
        ("plan", "pending", "in_progress"),
        ("verify", "pending", "in_progress"),
        ("verify", "in_progress", "completed"),
        ("plan", "in_progress", "completed"),
    ]


def test_a_message_is_a_wake_up_many_of_them_are_one_run(handle: Install) -> None:
    runs: list[int] = []
    together = threading.Barrier(6)

    def handler(ctx: StepContext) -> Outcome:
        runs.append(ctx.step.pk)
        return done(ctx)

    handle("verify", handler)
    step = first_step(make_plan())
    answers: list[str] = []

    def wake() -> None:
        together.wait()
        answers.append(run_step(step.pk))
        connections.close_all()

    threads = [threading.Thread(target=wake) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert runs == [step.pk]
    assert sorted(answers) == ["Looked at it.", *[NOTHING_TO_DO] * 5]
    assert run_step(step.pk) == NOTHING_TO_DO


@pytest.mark.parametrize("message", [None, "7", 0, -1, 2**70, True, [1], {"id": 1}, 1.0])
def test_a_malformed_message_is_refused_with_a_sentence(message: object) -> None:
    plan = make_plan()
    before = rows(plan)

    with pytest.raises(InvalidRequestError, match="must be a row's key"):
        run_step(message)

    assert rows(plan) == before


def test_a_message_for_a_step_that_is_gone_does_nothing() -> None:
    assert run_step(2**40) == "There is no such step; its plan was removed."


def test_a_step_of_another_host_is_left_alone(handle: Install) -> None:
    handle("verify", done)
    plan = make_plan(host=make_host("elsewhere"))
    before = rows(plan)

    assert run_step(first_step(plan).pk) == "The step belongs to the host elsewhere; left alone."
    assert rows(plan) == before


def test_a_step_kind_this_worker_does_not_know_is_left_for_a_newer_one() -> None:
    plan = make_plan()
    Step.objects.filter(plan=plan).update(kind="teleport")
    before = rows(plan)

    answer = run_step(first_step(Plan.objects.get()).pk)

    assert answer == "This worker does not know the step teleport; left for a newer one."
    assert rows(plan) == before


@pytest.mark.parametrize(
    "error",
    [
        TransientTransferError("The line went dead."),
        OperationalError("server closed the connection unexpectedly"),
        RedisConnectionError("refused"),
        EngineCrashed("The engine's process was ended."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_passing_error_puts_the_step_back_to_be_tried_later(
    handle: Install, error: Exception
) -> None:
    def handler(_ctx: StepContext) -> Outcome:
        raise error

    handle("verify", handler)
    step = first_step(make_plan())
    begun = timezone.now()

    assert run_step(step.pk).startswith("Put back, to be tried again in 1 s: ")

    step.refresh_from_db()
    assert (step.status, step.failures, step.owner) == ("pending", 1, "")
    assert step.ready_at is not None
    assert step.ready_at >= begun + timedelta(seconds=1)
    # That second may be over already; what counts is that the time is kept.
    Step.objects.filter(pk=step.pk).update(ready_at=timezone.now() + timedelta(hours=1))
    assert run_step(step.pk) == NOTHING_TO_DO


def test_an_error_that_keeps_coming_back_waits_longer_and_then_asks_an_operator(
    handle: Install,
) -> None:
    def handler(_ctx: StepContext) -> Outcome:
        raise TransientTransferError("The line went dead.")

    handle("verify", handler)
    plan, _of_another = make_plan(), make_plan()
    step = first_step(plan)
    answers = []
    for _ in range(5):
        answers.append(run_step(step.pk))
        Step.objects.filter(pk=step.pk).update(ready_at=timezone.now())

    assert [answer.split(" s: ")[0] for answer in answers] == [
        f"Put back, to be tried again in {seconds}" for seconds in (1, 2, 4, 8, 16)
    ]
    with pytest.raises(StepFailedError, match="Tried 6 times; an operator must look"):
        run_step(step.pk)
    step.refresh_from_db()
    plan.refresh_from_db()
    assert (step.status, step.failures, plan.status) == ("needs_operator", 6, "in_progress")
    assert step.error == "The line went dead."


def test_a_model_that_ends_its_process_every_time_fails_the_plan(handle: Install) -> None:
    def handler(_ctx: StepContext) -> Outcome:
        raise EngineCrashed("The engine's process was ended.")

    handle("verify", handler)
    plan = make_plan()
    step = first_step(plan)
    for _ in range(2):
        run_step(step.pk)
        Step.objects.filter(pk=step.pk).update(ready_at=timezone.now())

    with pytest.raises(StepFailedError, match="ended"):
        run_step(step.pk)

    plan.refresh_from_db()
    assert (plan.status, plan.error_message) == ("failed", "The engine's process was ended.")


@pytest.mark.parametrize("error", [TransferError, LoadCrashed])
def test_a_lasting_error_fails_the_plan_and_cancels_the_rest(
    handle: Install, error: type[Exception]
) -> None:
    def handler(_ctx: StepContext) -> Outcome:
        raise error("The Hub has no such file.")

    handle("fetch_engine", handler)
    plan = make_plan(PlanKind.MIGRATE)

    with pytest.raises(StepFailedError, match="The Hub has no such file"):
        run_step(first_step(plan).pk)

    plan.refresh_from_db()
    assert (plan.status, plan.error_message) == ("failed", "The Hub has no such file.")
    assert first_step(plan).error == plan.error_message
    statuses = list(plan.steps.order_by("position").values_list("status", flat=True))
    assert statuses == ["failed", *["cancelled"] * 5]


def test_a_bug_fails_the_step_at_once_with_a_sentence_that_names_it(
    handle: Install, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(_ctx: StepContext) -> Outcome:
        raise ZeroDivisionError("division by zero")

    handle("verify", handler)
    plan = make_plan()

    with pytest.raises(StepFailedError, match=r"unexpected ZeroDivisionError.*division by zero"):
        run_step(first_step(plan).pk)

    plan.refresh_from_db()
    assert plan.status == "failed"
    assert "Traceback" in caplog.text


def test_a_handler_that_asks_is_run_again_and_only_the_last_effects_stay(handle: Install) -> None:
    rounds: list[int] = []

    def effects() -> None:
        Plan.objects.filter(pk=plan.pk).update(knowledge_base_size=100 + len(rounds))
        if len(rounds) < 3:
            raise TryAgainError("Somebody wrote meanwhile.")

    def handler(_ctx: StepContext) -> Outcome:
        rounds.append(1)
        return Outcome("Third time lucky.", effects=effects)

    handle("verify", handler)
    plan = make_plan()

    assert run_step(first_step(plan).pk) == "Third time lucky."

    plan.refresh_from_db()
    assert (len(rounds), plan.knowledge_base_size) == (3, 103)
    assert story(plan).count(("verify", "in_progress", "completed")) == 1


def test_a_handler_that_asks_is_not_run_again_by_a_worker_that_ends(
    handle: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []

    def handler(_ctx: StepContext) -> Outcome:
        rounds.append(1)
        monkeypatch.setattr("worker.steps.lease.is_draining", lambda: True)
        raise TryAgainError("Somebody wrote meanwhile.")

    handle("verify", handler)
    step = first_step(make_plan())

    assert run_step(step.pk) == "Put back: the worker is ending."

    step.refresh_from_db()
    assert (len(rounds), step.status, step.failures) == (1, "pending", 0)


def test_a_handler_that_never_stops_asking_is_put_back(handle: Install) -> None:
    def handler(_ctx: StepContext) -> Outcome:
        raise TryAgainError("Not yet.")

    handle("verify", handler)
    step = first_step(make_plan())

    assert run_step(step.pk) == "Put back, to be tried again in 1 s: Not yet."


def test_a_cancelled_plan_is_not_begun(handle: Install) -> None:
    handle("verify", done)
    plan = make_plan()
    request_cancel(plan.pk, who="ada")

    assert run_step(first_step(plan).pk) == NOTHING_TO_DO

    plan.refresh_from_db()
    assert (plan.status, first_step(plan).attempts) == ("cancelled", 0)


def test_a_running_step_stops_at_its_next_checkpoint_when_its_plan_is_cancelled(
    handle: Install, keeper: LeaseKeeper
) -> None:
    def handler(ctx: StepContext) -> Outcome:
        request_cancel(ctx.plan.pk, who="ada")
        keeper.beat()
        ctx.checkpoint()
        raise AssertionError("went on after the checkpoint")

    handle("fetch_engine", handler)
    plan = make_plan(PlanKind.MIGRATE)

    assert run_step(first_step(plan).pk) == "Cancelled on request."

    plan.refresh_from_db()
    assert plan.status == "cancelled"
    assert set(plan.steps.values_list("status", flat=True)) == {"cancelled"}


def test_a_cancel_that_no_checkpoint_saw_still_wins_before_the_commit(handle: Install) -> None:
    def handler(ctx: StepContext) -> Outcome:
        request_cancel(ctx.plan.pk, who="ada")
        return Outcome("Too late.", effects=mark)

    handle("verify", handler)
    plan = make_plan()

    assert run_step(first_step(plan).pk) == "Cancelled on request."

    plan.refresh_from_db()
    assert (plan.status, plan.knowledge_base_size) == ("cancelled", 0)


def test_a_zombie_that_was_overtaken_changes_nothing(handle: Install) -> None:
    after_takeover: list[Any] = []

    def handler(ctx: StepContext) -> Outcome:
        expire_lease(ctx.step)
        claim = claim_step(ctx.step.pk, "successor")
        assert claim is not None
        finish_step(claim, Outcome("Done by the successor."))
        after_takeover.extend(rows(ctx.plan))
        return Outcome("Done twice.", effects=mark)

    handle("verify", handler)
    plan = make_plan()

    assert run_step(first_step(plan).pk) == STOPPED

    assert rows(plan) == after_takeover
    assert first_step(plan).detail == "Done by the successor."


def test_a_zombie_that_fails_after_it_was_overtaken_fails_nothing(handle: Install) -> None:
    def handler(ctx: StepContext) -> Outcome:
        expire_lease(ctx.step)
        assert claim_step(ctx.step.pk, "successor") is not None
        raise TransferError("An old error.")

    handle("verify", handler)
    plan = make_plan()

    assert run_step(first_step(plan).pk) == STOPPED

    step = first_step(plan)
    assert (step.status, step.owner, step.fence, step.error) == ("in_progress", "successor", 2, "")


def test_a_connection_lost_while_finishing_is_opened_again(handle: Install) -> None:
    lost: list[int] = []

    def effects() -> None:
        if not lost:
            lost.append(1)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        Plan.objects.filter(pk=plan.pk).update(knowledge_base_size=7)

    handle("verify", lambda _ctx: Outcome("Committed.", effects=effects))
    plan = make_plan()

    assert run_step(first_step(plan).pk) == "Committed."

    plan.refresh_from_db()
    assert (plan.status, plan.knowledge_base_size, lost) == ("completed", 7, [1])


def test_a_commit_whose_answer_was_lost_is_not_done_twice() -> None:
    plan = make_plan()
    claim = claim_step(first_step(plan).pk, "worker")
    assert claim is not None
    finish_step(claim, Outcome("Once.", effects=lambda: None))
    before = rows(plan)

    def again() -> None:
        raise AssertionError("the effects ran twice")

    finish_step(claim, Outcome("Twice.", effects=again))

    assert rows(plan) == before
