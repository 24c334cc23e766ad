"""A step that waits for an engine says so, and can be cancelled meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from engines.fit.engine_need import Need
from migrations_app.models import Plan, Step
from migrations_app.plans.transitions import CancelAskedError, Claim, claim_step, request_cancel
from tests.worker.counted_engine import make_pool, spec
from tests.worker.plans import first_step, make_plan
from tests.worker.processes import wait_until
from worker.host.engine_pool import EnginePool
from worker.steps.context import NO_ROOM, WorkerContext
from worker.steps.lease import StepLease

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pool(log: list[str], monkeypatch: pytest.MonkeyPatch) -> EnginePool:
    pool = make_pool(log, lambda _, size: Need(size))
    monkeypatch.setattr("worker.steps.context.engine_pool", lambda: pool)
    return pool


@pytest.fixture
def full(pool: EnginePool, tmp_path: Path) -> Iterator[None]:
    """An engine in use leaves no room for a larger one."""
    with pool.acquire(spec(tmp_path, "a")):
        yield


def claimed() -> tuple[Plan, Claim]:
    plan = make_plan()
    claim = claim_step(first_step(plan).pk, "me")
    assert claim is not None
    return plan, claim


def context(claim: Claim) -> WorkerContext:
    step = Step.objects.select_related("plan").get(pk=claim.step_id)
    return WorkerContext(step, claim, StepLease(claim.owner, claim, time.monotonic()), None)


def test_a_step_that_waits_for_room_says_so_and_ends_when_it_is_cancelled(
    full: None, log: list[str], tmp_path: Path
) -> None:
    plan, claim = claimed()
    ctx = context(claim)
    ctx.progress(0.25, "Half of a half.")
    Step.objects.filter(pk=claim.step_id).update(detail="")
    ended: list[type[BaseException]] = []

    def wait() -> None:
        try:
            with ctx.engine(spec(tmp_path, "large", size=90)):
                pytest.fail("there was no room")
        except CancelAskedError as error:
            ended.append(type(error))
        finally:
            connections.close_all()

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: Step.objects.get(pk=claim.step_id).detail == NO_ROOM, "the sentence")
    request_cancel(plan.pk, who="ada")
    thread.join(30)

    assert ended == [CancelAskedError]
    assert Step.objects.get(pk=claim.step_id).progress == 0.25
    assert log == ["+a"]


def test_a_helper_that_waits_tells_nothing_of_a_step_that_is_anothers(
    full: None, tmp_path: Path
) -> None:
    plan, claim = claimed()
    before = Step.objects.values().get(pk=claim.step_id)
    helper = context(Claim(claim.step_id, 0, "you"))
    Plan.objects.filter(pk=plan.pk).update(cancel_requested_at="2026-01-01T00:00:00Z")

    with pytest.raises(CancelAskedError), helper.engine(spec(tmp_path, "large", size=90)):
        pytest.fail("there was no room")

    assert Step.objects.values().get(pk=claim.step_id) == before
