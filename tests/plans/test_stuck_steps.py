"""Steps that nobody will take as things are: their host is lost, or does not know their kind."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from engines.exceptions import ConflictError
from engines.models import CopyStatus, Host, HostStatus, ModelCopy
from engines.services.knowledge.documents import create_base
from migrations_app.controller import MigrationController
from migrations_app.hosts import drain_host, retire_host
from migrations_app.models import EmbedRange, Plan, Step
from migrations_app.plans.actions import legal_actions
from migrations_app.plans.stuck_steps import PATIENCE, free_stuck_steps
from migrations_app.plans.transitions import (
    LeaseLostError,
    Outcome,
    claim_step,
    fail_step,
    finish_step,
)
from migrations_app.states import CONTROL_STEPS, PlanAction, PlanKind, PlanStatus, StepStatus
from migrations_app.steps import HANDLERS
from tests.knowledge.world import make_space
from tests.plans.test_after_the_switch import held, host, last_step, switched
from tests.plans.test_host_care import make_copy
from tests.worker.plans import make_host, make_plan, rows, story
from worker.sweeper import sweep

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timezone.now() - timedelta(days=1)
controller = MigrationController()


__all__ = ["host"]


def lose(host: Host, *, for_how_long: timedelta = PATIENCE * 2) -> None:
    silent_since = timezone.now() - for_how_long
    Host.objects.filter(pk=host.pk).update(status=HostStatus.LOST, last_seen=silent_since)


def test_a_plan_moves_to_another_host_before_its_switch(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    plan.steps.filter(position=0).update(status=StepStatus.NEEDS_OPERATOR, failures=6)
    other = make_host("other")

    controller.move_migration(plan.pk)

    plan.refresh_from_db()
    first, *later = plan.steps.order_by("position")
    assert (plan.host, first.host, first.status, first.failures) == (other, other, "pending", 0)
    assert {(step.ready_at, step.publish_count) for step in later} == {(None, 0)}
    assert set(plan.steps.filter(host__isnull=False).values_list("host__name", flat=True)) == {
        "other"
    }
    assert first.events.order_by("pk").last().why.startswith("Moved from ")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("nowhere", "no host 'nowhere'"), ("leaving", "is draining"), ("", "on .* already")],
)
def test_a_plan_does_not_move_where_nothing_may_go(host: Host, name: str, sentence: str) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    make_host("leaving", status=HostStatus.DRAINING)

    with pytest.raises(Exception, match=sentence):
        controller.move_migration(plan.pk, name or host.name)

    plan.refresh_from_db()
    assert plan.host == host


def test_a_plan_whose_step_is_held_does_not_move(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    make_host("other")
    claim = claim_step(plan.steps.order_by("position")[0].pk, "a worker")
    assert claim is not None

    with pytest.raises(ConflictError, match="holds one of its steps; wait until it ends"):
        controller.move_migration(plan.pk)

    assert PlanAction.MOVE not in legal_actions(plan)
    finish_step(claim, Outcome("Done."))


def test_steps_of_a_lost_host_go_on_at_another_and_the_one_that_comes_back_changes_nothing(
    host: Host,
) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    first = plan.steps.order_by("position")[0]
    zombie = claim_step(first.pk, "a worker of the lost host")
    assert zombie is not None
    other = make_host("other")
    lose(host)
    assert free_stuck_steps(who="sweeper") == 0  # its lease has not ended
    Step.objects.filter(pk=first.pk).update(lease_until=LONG_AGO)

    assert "1 stuck plans freed" in sweep()

    first.refresh_from_db()
    assert (first.host, first.status) == (other, "pending")
    make_host()  # it is back
    for late in (finish_step, lambda claim, _outcome: fail_step(claim, error="Late.")):
        with pytest.raises(LeaseLostError):
            late(zombie, Outcome("Late."))
    successor = claim_step(first.pk, "a worker of the other host")
    assert successor is not None
    assert successor.fence > zombie.fence
    finish_step(successor, Outcome("Done."))


def test_a_host_that_dies_while_it_drains_holds_nothing(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    other = make_host("other")
    drain_host(host, who="oscar")
    Host.objects.filter(pk=host.pk).update(last_seen=LONG_AGO)
    with pytest.raises(ConflictError, match=r"still has \d+ steps of running plans"):
        retire_host(host, who="oscar")

    assert free_stuck_steps(who="sweeper") == 1

    plan.refresh_from_db()
    assert plan.host == other
    assert retire_host(host, who="oscar").status == HostStatus.RETIRED


@pytest.mark.parametrize(("step", "lease"), [("cancelled", "new"), ("in_progress", "old")])
def test_ranges_that_a_lost_host_left_do_not_hold_it(host: Host, step: str, lease: str) -> None:
    plan = make_plan(PlanKind.MIGRATE, make_host("other"))
    owner = plan.steps.get(kind="re_embed")
    later = timezone.now() + timedelta(hours=1)
    Step.objects.filter(pk=owner.pk).update(status=step, fence=1, lease_until=later)
    make_range(owner, host, LONG_AGO if lease == "old" else later)
    drain_host(host, who="oscar")

    assert retire_host(host, who="oscar").status == HostStatus.RETIRED


def make_range(step: Step, host: Host, lease_until: datetime) -> None:
    base = create_base(owner=User.objects.create_user("ada"), name="Notes")
    EmbedRange.objects.create(
        step=step,
        base=base,
        fingerprint=make_space("space"),
        first_id=1,
        last_id=2,
        status=StepStatus.IN_PROGRESS,
        fence=1,
        owner=f"{host.name}:1:x/1",
        lease_until=lease_until,
    )


def test_a_worker_that_comes_back_in_the_last_moment_keeps_its_step(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    first = plan.steps.order_by("position")[0]
    other = make_host("other")
    lose(host)

    def come_back(*_asked: object, **_among: object) -> Host:
        assert claim_step(first.pk, "a worker of the host that is back") is not None
        return other

    monkeypatch.setattr("migrations_app.plans.stuck_steps.choose_host", come_back)

    assert free_stuck_steps(who="sweeper") == 0

    plan.refresh_from_db()
    first.refresh_from_db()
    assert (plan.host, first.host, first.status) == (host, host, "in_progress")


@pytest.mark.parametrize("kind", [PlanKind.MIGRATE, PlanKind.DOWNLOAD])
def test_a_step_that_waits_long_for_a_busy_host_goes_on_waiting(host: Host, kind: PlanKind) -> None:
    plan = make_plan(kind, host)
    make_host("other")
    plan.steps.filter(position=0).update(ready_at=LONG_AGO)
    before = rows(plan)

    assert free_stuck_steps(who="sweeper") == 0

    assert rows(plan) == before


def test_a_host_that_was_silent_for_a_moment_keeps_its_steps(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    make_host("other")
    lose(host, for_how_long=PATIENCE / 2)

    assert free_stuck_steps(who="sweeper") == 0

    plan.refresh_from_db()
    assert plan.host == host


def test_before_the_switch_a_plan_waits_for_the_only_host_and_can_be_cancelled(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    lose(host)

    assert free_stuck_steps(who="sweeper") == 0

    assert PlanAction.CANCEL in legal_actions(plan)
    controller.cancel_migration(plan.pk)
    plan.refresh_from_db()
    assert plan.status == PlanStatus.CANCELLED


def test_housekeeping_of_a_lost_host_moves_where_the_engine_is(host: Host) -> None:
    copy = make_copy(host)
    plan = switched(host)
    Plan.objects.filter(pk=plan.pk).update(to_revision=copy.revision)
    without, holder = make_host("another"), make_host("holder")
    held(copy.revision, holder)
    lose(host)

    assert free_stuck_steps(who="sweeper") == 1

    assert last_step(plan).host == holder != without


def test_housekeeping_of_the_only_host_that_has_the_engine_is_left_out(host: Host) -> None:
    copy = make_copy(host)
    plan = switched(host)
    Plan.objects.filter(pk=plan.pk).update(to_revision=copy.revision)
    half = held(copy.revision, make_host("another"))
    ModelCopy.objects.filter(pk=half.pk).update(status=CopyStatus.DOWNLOADING)
    lose(host)

    assert free_stuck_steps(who="sweeper") == 1

    plan.refresh_from_db()
    assert plan.status == PlanStatus.COMPLETED
    assert plan.warning.endswith(f"The host {host} is lost.")
    assert free_stuck_steps(who="sweeper") == 0


def test_a_download_of_a_lost_host_waits_for_it_and_goes_on_when_it_is_back(host: Host) -> None:
    plan = make_plan(PlanKind.DOWNLOAD, host)
    before = story(plan)
    make_host("other")
    lose(host)
    # Of an older program too: its workers may be updated when it is back, so nobody is asked.
    Host.objects.filter(pk=host.pk).update(announces=["verify"])
    plan.steps.update(ready_at=LONG_AGO)
    assert free_stuck_steps(who="sweeper") == 0
    assert story(plan) == before

    make_host()
    Step.objects.update(published_at=None)

    assert sweep().startswith("1 steps sent again")


def test_a_step_that_no_host_knows_asks_an_operator_who_can_retry(host: Host) -> None:
    Host.objects.update(announces=["verify"])
    plan = make_plan(PlanKind.DOWNLOAD, host)
    assert free_stuck_steps(who="sweeper") == 0  # perhaps its workers are just being updated
    Host.objects.update(announces=["verify"])
    plan.steps.update(ready_at=LONG_AGO)

    assert free_stuck_steps(who="sweeper") == 1

    step = plan.steps.get()
    assert step.status == StepStatus.NEEDS_OPERATOR
    assert "knows the step download" in step.error
    assert {PlanAction.RETRY, PlanAction.ABANDON} <= set(legal_actions(plan))
    controller.retry_step(plan.pk)
    assert plan.steps.get().status == StepStatus.PENDING
    assert free_stuck_steps(who="sweeper") == 0


def test_a_step_that_its_host_does_not_know_goes_to_one_that_does(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    Host.objects.update(announces=["verify"])
    # Of what runs on hosts it has to know all that is left; the switch is the control worker's.
    make_host("half", announces=["fetch_engine"])
    newer = make_host("newer", announces=sorted(set(HANDLERS) - CONTROL_STEPS))
    plan.steps.filter(position=0).update(ready_at=LONG_AGO)

    assert free_stuck_steps(who="sweeper") == 1

    plan.refresh_from_db()
    assert plan.host == newer


def test_where_its_file_is_unsafe_a_plan_does_not_go_and_the_others_are_looked_after(
    host: Host,
) -> None:
    copy = make_copy(host)
    plan, waiting = make_plan(PlanKind.MIGRATE, host), make_plan(PlanKind.MIGRATE, host)
    Plan.objects.filter(pk=plan.pk).update(to_revision=copy.revision)
    unsafe = held(copy.revision, make_host("other"))
    ModelCopy.objects.filter(pk=unsafe.pk).update(status=CopyStatus.UNSAFE)
    lose(host)

    assert free_stuck_steps(who="sweeper") == 1

    plan.refresh_from_db()
    waiting.refresh_from_db()
    assert (plan.host, waiting.host) == (host, unsafe.host)
