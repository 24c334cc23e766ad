"""Machines whose clock is wrong: what happened is put in order by the database's, and nothing waits for theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from engines.exceptions import ConflictError
from migrations_app.controller import MigrationController
from migrations_app.models import Step
from migrations_app.plans.transitions import claim_step, move_plan, request_pause, resume_plan
from migrations_app.states import PlanKind, StepStatus
from tests.plans.hash_world import HashWorld
from tests.worker.plans import first_step, make_host, make_plan

pytestmark = pytest.mark.django_db(transaction=True)

A_DAY = timedelta(days=1)


@contextmanager
def clock_off(by: timedelta) -> Iterator[None]:
    """Let this machine's clock be wrong."""
    real = timezone.now

    def wrong() -> datetime:
        return real() + by

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", wrong)
        yield


def test_a_step_is_taken_at_once_whatever_the_clock_of_who_had_it_begin_anew() -> None:
    plan = make_plan(PlanKind.BACKUP)
    step = first_step(plan)
    Step.objects.filter(pk=step.pk).update(status=StepStatus.NEEDS_OPERATOR)
    paused = make_plan(PlanKind.DOWNLOAD)
    request_pause(paused.pk, who="olga")
    moved = make_plan(PlanKind.MIGRATE)

    with clock_off(A_DAY):
        MigrationController().retry_step(plan.pk)
        resume_plan(paused.pk, who="olga")
        move_plan(moved.pk, make_host("other"), who="sweeper", why="A test.")

    for anew in (step, first_step(paused), first_step(moved)):
        assert claim_step(anew.pk, "worker") is not None


@pytest.mark.parametrize("by", [A_DAY, -A_DAY], ids=["ahead", "behind"])
def test_a_later_move_is_taken_back_first_whatever_the_clocks_of_the_hosts(
    world: HashWorld, by: timedelta
) -> None:
    base = world.base("Notes", "The bridge.")
    world.engine("third")
    first, second = ("new", "third")
    with clock_off(max(timedelta(), by)):
        earlier = world.migrated(first)
    with clock_off(min(timedelta(), by)):
        later = world.migrated(second)
    base.refresh_from_db()
    before = base.live_index_id

    with pytest.raises(ConflictError, match=f"A later plan \\({later.pk}\\)"):
        MigrationController().roll_back_migration(earlier.pk)

    base.refresh_from_db()
    assert base.live_index_id == before
    assert world.taken_back(later).status == "completed"
    assert world.taken_back(earlier).status == "completed"
    assert world.spaces() == ["old"]
