"""What is left after the point of no return is housekeeping: it holds nobody, and every plan has an end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from redis import Redis

from engines.exceptions import (
    ConflictError,
    HostUnavailableError,
    NotFoundError,
    TransientTransferError,
)
from engines.models import CatalogModel, CopyStatus, Host, HostStatus, ModelCopy, ModelRevision
from migrations_app.controller import MigrationController, PlanInTheWayError
from migrations_app.models import Plan, Step
from migrations_app.plans.actions import legal_actions
from migrations_app.plans.planning import plan_rollback
from migrations_app.plans.transitions import (
    MAX_FAILURES,
    Claim,
    LeaseLostError,
    Outcome,
    claim_step,
    complete_with_warning,
    fail_step,
    finish_step,
    release_step,
)
from migrations_app.states import ACTIONS_OF, PlanAction, PlanKind, PlanStatus, StepStatus
from migrations_app.steps import HANDLERS
from migrations_app.steps.base import StepContext
from tests.plans.test_host_care import make_copy
from tests.worker.plans import make_host, make_plan, rows
from worker.steps.runner import StepFailedError, run_step

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timezone.now() - timedelta(days=1)
controller = MigrationController()


@pytest.fixture
def host(redis_client: Redis) -> Host:
    return make_host()


def switched(host: Host, kind: PlanKind = PlanKind.MIGRATE) -> Plan:
    """A plan of Ada that stands before its housekeeping."""
    ada, _ = User.objects.get_or_create(username="ada")
    plan = make_plan(kind, host)
    Plan.objects.filter(pk=plan.pk).update(
        user=ada, retention_until=timezone.now() + timedelta(days=1)
    )
    last = plan.steps.order_by("position").last()
    assert last is not None
    plan.steps.exclude(pk=last.pk).update(status=StepStatus.COMPLETED)
    Step.objects.filter(pk=last.pk).update(ready_at=timezone.now())
    plan.refresh_from_db()
    return plan


def last_step(plan: Plan) -> Step:
    return plan.steps.order_by("-position")[0]


def claimed(plan: Plan) -> Claim:
    claim = claim_step(last_step(plan).pk, "a worker")
    assert claim is not None
    return claim


def test_who_runs_housekeeping_for_the_last_time_is_told_that_the_plan_is_done_without_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_ctx: StepContext) -> Outcome:
        raise TransientTransferError("The line went dead.")

    plan = switched(host)
    monkeypatch.setitem(HANDLERS, "settle", fail)
    plan.steps.filter(kind="settle").update(failures=MAX_FAILURES - 1)

    with pytest.raises(StepFailedError, match="Tried 6 times; the plan is completed without it"):
        run_step(last_step(plan).pk)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.COMPLETED


def test_housekeeping_that_fails_six_times_ends_the_plan_with_a_warning(host: Host) -> None:
    plan = switched(host)
    for _ in range(MAX_FAILURES):
        release_step(claimed(plan), why="The engine does not load.", failed=True)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.COMPLETED
    assert plan.warning == (
        "The switch is done; the step settle after it was left out: The engine does not load."
    )
    assert last_step(plan).status == StepStatus.FAILED
    assert plan.events.order_by("pk").last().why == plan.warning  # type: ignore[union-attr]
    assert legal_actions(plan) == [PlanAction.ROLL_BACK]


def test_housekeeping_that_cannot_succeed_ends_the_plan_with_a_warning(host: Host) -> None:
    plan = switched(host, PlanKind.ROLLBACK)

    fail_step(claimed(plan), error="The file is gone.")

    plan.refresh_from_db()
    assert (plan.status, plan.error_message) == (PlanStatus.COMPLETED, "")
    assert "resettle after it was left out: The file is gone." in plan.warning
    assert legal_actions(plan) == []


@pytest.mark.parametrize("status", ["pending", "needs_operator", "in_progress"])
def test_a_switched_plan_can_be_abandoned_and_its_worker_is_sent_away(
    host: Host, status: str
) -> None:
    plan = switched(host)
    claim = claimed(plan) if status == "in_progress" else None
    plan.steps.filter(pk=last_step(plan).pk).update(status=status)
    assert PlanAction.ABANDON in legal_actions(plan)

    controller.abandon_migration(plan.pk)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.COMPLETED
    assert plan.warning.startswith("What follows the switch was abandoned")
    if claim is not None:
        with pytest.raises(LeaseLostError):
            finish_step(claim, Outcome("Too late."))
    assert last_step(plan).status == StepStatus.CANCELLED


def test_abandoning_before_the_switch_still_cancels_only_what_waits(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)

    with pytest.raises(ConflictError, match=r"cancel it instead\. What can be done: cancel, move"):
        controller.abandon_migration(plan.pk)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.IN_PROGRESS
    plan.steps.filter(position=0).update(status=StepStatus.NEEDS_OPERATOR)
    assert controller.abandon_migration(plan.pk) is True
    plan.refresh_from_db()
    assert (plan.status, plan.warning) == (PlanStatus.CANCELLED, "")


def test_a_plan_is_taken_back_although_its_housekeeping_never_ended(host: Host) -> None:
    plan = switched(host)

    back = Plan.objects.get(pk=controller.roll_back_migration(plan.pk))

    plan.refresh_from_db()
    assert (plan.status, back.status) == (PlanStatus.COMPLETED, PlanStatus.IN_PROGRESS)
    assert plan.warning == "What follows the switch was left out: the plan is taken back."
    kinds = list(back.steps.order_by("position").values_list("kind", flat=True))
    assert kinds == ["fetch_engine", "catch_up", "probe_back", "cut_back", "resettle"]


def test_who_asks_twice_for_the_way_back_gets_the_one_that_is_under_way(host: Host) -> None:
    plan = switched(host)
    back = controller.roll_back_migration(plan.pk)

    assert controller.roll_back_migration(plan.pk) == back

    assert Plan.objects.count() == 2


def test_a_way_back_names_the_very_plan_that_is_in_its_way(host: Host) -> None:
    plan = switched(host)
    move_on = {"user": plan.user, "kind": PlanKind.MIGRATE, "host": host}
    for status in (PlanStatus.CANCELLED, PlanStatus.FAILED, PlanStatus.PENDING):
        Plan.objects.create(status=status, **move_on)
    complete_with_warning(plan.pk, who="ada", warning="Left out.")
    running = Plan.objects.create(status=PlanStatus.IN_PROGRESS, **move_on)
    backup = {**move_on, "kind": PlanKind.BACKUP, "status": PlanStatus.IN_PROGRESS}
    Plan.objects.create(**backup)
    before = Plan.objects.count()

    with pytest.raises(PlanInTheWayError, match=rf"Another plan \({running.pk}\) is in progress"):
        controller.roll_back_migration(plan.pk)

    assert Plan.objects.count() == before


def test_a_plan_that_has_ended_with_a_warning_keeps_its_own(host: Host) -> None:
    plan = switched(host)
    complete_with_warning(plan.pk, who="ada", warning="The first.")
    before = rows(plan)

    assert complete_with_warning(plan.pk, who="sweeper", warning="The second.").pk == plan.pk

    assert rows(plan) == before


def test_what_is_no_id_of_a_plan_is_no_plan(host: Host) -> None:
    assert controller.get_migration_status("no id") is None
    with pytest.raises(NotFoundError, match="There is no plan no id"):
        controller.cancel_migration("no id")


def test_a_way_back_that_cannot_be_placed_changes_nothing(host: Host) -> None:
    plan = switched(host)
    Host.objects.update(status=HostStatus.LOST)

    with pytest.raises(HostUnavailableError):
        controller.roll_back_migration(plan.pk)

    plan.refresh_from_db()
    assert (plan.status, plan.warning) == (PlanStatus.IN_PROGRESS, "")
    assert Plan.objects.count() == 1


def test_a_plan_before_its_switch_is_not_rolled_back(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)

    with pytest.raises(ConflictError, match="Nothing is switched yet; cancel the plan instead"):
        controller.roll_back_migration(plan.pk)

    plan.refresh_from_db()
    assert (plan.status, Plan.objects.count()) == (PlanStatus.IN_PROGRESS, 1)


def test_the_database_keeps_warnings_to_plans_that_were_completed(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)

    with pytest.raises(IntegrityError), transaction.atomic():
        Plan.objects.filter(pk=plan.pk).update(warning="Something was left out.")


@pytest.mark.parametrize("status", PlanStatus)
def test_only_what_the_table_names_is_offered(host: Host, status: PlanStatus) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    Plan.objects.filter(pk=plan.pk).update(status=status)
    plan.refresh_from_db()

    assert set(legal_actions(plan)) <= set(ACTIONS_OF[status])


# --- where the way back leads ------------------------------------------------------------------


def held(revision: ModelRevision, host: Host) -> ModelCopy:
    return ModelCopy.objects.create(
        revision=revision,
        host=host,
        path="/x",
        checksum=revision.sha256,
        status=CopyStatus.DOWNLOADED,
    )


@pytest.fixture
def original(host: Host) -> Plan:
    """A completed migration away from an engine whose file is on the host that did it."""
    copy = make_copy(host)
    ada = User.objects.create_user("ada")
    return Plan.objects.create(
        kind=PlanKind.MIGRATE,
        host=host,
        user=ada,
        from_engine=CatalogModel.objects.get(),
        from_revision=copy.revision,
        status=PlanStatus.COMPLETED,
        finished_at=timezone.now(),
    )


def test_the_way_back_leads_over_the_host_that_did_it_while_it_has_the_file(
    original: Plan, host: Host
) -> None:
    assert original.from_revision is not None
    held(original.from_revision, make_host("other", disk_free_bytes=2**40))

    assert plan_rollback(original, actor=None).host == host


@pytest.mark.parametrize("trouble", ["lost", "no file"])
def test_the_way_back_leads_over_another_host_that_has_the_file(
    original: Plan, host: Host, trouble: str
) -> None:
    assert original.from_revision is not None
    make_host("empty", disk_free_bytes=2**40)
    holder = make_host("holder")
    held(original.from_revision, holder)
    if trouble == "lost":
        Host.objects.filter(pk=host.pk).update(status=HostStatus.LOST, last_seen=LONG_AGO)
    else:
        ModelCopy.objects.filter(host=host).update(status=CopyStatus.MISSING)

    assert plan_rollback(original, actor=None).host == holder


def test_where_no_host_has_the_file_the_way_back_fetches_it(original: Plan, host: Host) -> None:
    ModelCopy.objects.all().delete()

    back = plan_rollback(original, actor=None)

    assert (back.host, back.steps.order_by("position")[0].kind) == (host, "fetch_engine")
