"""Draining and retiring: what runs ends, nothing new begins, and nothing in flight is left behind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from redis import Redis

from engines.exceptions import ConflictError
from engines.models import (
    CatalogModel,
    CopyStatus,
    Fingerprint,
    Host,
    HostStatus,
    ModelCopy,
    ModelRevision,
)
from engines.services.hosts import join_host, mark_hosts_lost
from migrations_app.controller import get_migration_controller
from migrations_app.hosts import drain_host, retire_host
from migrations_app.library import get_model_library_manager
from migrations_app.models import EmbedRange, Plan
from migrations_app.plans.planning import choose_host, plan_rollback
from migrations_app.plans.transitions import Outcome, claim_step, finish_step, request_cancel
from migrations_app.serving.load import hold
from migrations_app.states import PlanKind
from tests.knowledge.world import make_base, make_space
from tests.worker.plans import first_step, make_host, make_plan
from worker.process.identity import new_owner
from worker.sweeper import sweep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def host(redis_client: Redis) -> Host:
    return make_host()


def drained(host: Host) -> Host:
    return drain_host(host, who="oscar")


def make_copy(host: Host) -> ModelCopy:
    model = CatalogModel.objects.create(
        model_id="tiny", display_name="Tiny", model_family="llama", filename="tiny.gguf"
    )
    revision = ModelRevision.objects.create(
        model=model, commit="a" * 40, sha256="b" * 64, file_size=10
    )
    CatalogModel.objects.update(current_revision=revision)
    return ModelCopy.objects.create(
        revision=revision, host=host, path="/x", checksum="b" * 64, status=CopyStatus.DOWNLOADED
    )


def test_a_started_plan_goes_on_to_its_end_on_a_draining_host(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    drained(host)
    plan.steps.update(published_at=None)

    assert sweep().startswith("1 steps sent again")

    with pytest.raises(ConflictError, match=f"{host.name} still has 5 steps of running plans"):
        retire_host(host, who="oscar")
    host.refresh_from_db()
    assert host.status == "draining"


def test_nothing_new_is_placed_on_a_draining_host(host: Host) -> None:
    copy = make_copy(host)
    planned = Plan.objects.create(kind=PlanKind.VERIFY, host=host)
    other = make_host("other")
    drained(host)

    assert choose_host([copy.revision]) == other
    with pytest.raises(ConflictError, match="takes no new work; make the plan again"):
        get_migration_controller().execute_migration(planned.pk)
    planned.refresh_from_db()
    assert planned.status == "pending"
    with pytest.raises(ConflictError, match="is draining; choose an active one"):
        get_model_library_manager().start_download("tiny", host=host.name)


def test_a_plan_whose_host_leaves_is_told_that_it_can_be_moved_and_then_runs(host: Host) -> None:
    controller = get_migration_controller()
    copy = make_copy(host)
    plan = Plan.objects.create(
        kind=PlanKind.MIGRATE, host=host, user=User.objects.create(username="ada")
    )
    Plan.objects.filter(pk=plan.pk).update(to_engine=copy.revision.model, to_revision=copy.revision)
    make_host("other")
    drained(host)

    with pytest.raises(ConflictError, match=r"is draining .*; move the plan .*`sam plan move`"):
        controller.execute_migration(plan.pk)
    plan.refresh_from_db()
    assert (plan.status, plan.host) == ("pending", host)

    moved = controller.move_migration(plan.pk, "other")
    assert moved.host is not None
    assert moved.host.name == "other"


def test_the_way_back_of_a_plan_leads_over_another_host(host: Host) -> None:
    user = User.objects.create(username="ada")
    first, second = (
        Plan.objects.create(kind=PlanKind.MIGRATE, host=host, user=user) for _ in range(2)
    )
    assert plan_rollback(first, actor=None).host == host
    other = make_host("other")
    drained(host)
    second.refresh_from_db()

    assert plan_rollback(second, actor=None).host == other


@pytest.mark.parametrize("what", ["a step", "a request"])
def test_a_host_is_retired_once_all_has_ended(host: Host, redis_client: Redis, what: str) -> None:
    if what == "a request":
        hold(redis_client, host.name, ["r"])
    else:
        plan = make_plan(PlanKind.VERIFY, host)
        claim = claim_step(first_step(plan).pk, f"{host.name}:1:x/1")
        assert claim is not None
    drained(host)

    with pytest.raises(ConflictError, match="wait for them, or cancel"):
        retire_host(host, who="oscar")

    if what == "a request":
        redis_client.flushall()
    else:
        assert claim is not None
        finish_step(claim, Outcome("Done."))
    assert retire_host(host, who="oscar").status == "retired"
    assert retire_host(host, who="oscar").events.count() == 2


def test_a_range_of_a_process_holds_its_host_and_no_other_of_a_similar_name(host: Host) -> None:
    """A host embeds ranges of other hosts' plans: only the owner's name tells whose process does it."""
    step = first_step(make_plan(PlanKind.MIGRATE, make_host("other")))
    assert claim_step(step.pk, "other:1:x/1") is not None
    base = make_base(User.objects.create(username="ada"), make_space("space"))
    held = EmbedRange.objects.create(
        step=step,
        base=base,
        fingerprint=Fingerprint.objects.get(),
        first_id=1,
        last_id=2,
        status="in_progress",
        owner=new_owner(),
        lease_until=timezone.now() + timedelta(hours=1),
    )
    similar = make_host(f"{host.name}-2")
    for each in (host, similar):
        drained(each)

    assert retire_host(similar, who="oscar").status == "retired"
    with pytest.raises(ConflictError, match=f"{host.name} still has 0 steps .* 1 ranges to embed"):
        retire_host(host, who="oscar")
    host.refresh_from_db()
    assert host.status == "draining"
    EmbedRange.objects.filter(pk=held.pk).update(status="completed", owner="")
    assert retire_host(host, who="oscar").status == "retired"


def test_a_cancelled_plan_does_not_hold_a_host(host: Host) -> None:
    plan = make_plan(PlanKind.MIGRATE, host)
    drained(host)
    request_cancel(plan.pk, who="oscar")

    assert retire_host(host, who="oscar").status == "retired"


def test_files_of_a_retired_host_are_neither_offered_nor_deleted(host: Host) -> None:
    make_copy(host)
    drained(host)
    retire_host(host, who="oscar")

    library = get_model_library_manager()
    assert library.get_model_status("tiny") == "missing"
    assert library.delete_model("tiny") is False
    assert Plan.objects.count() == 0


def test_only_active_hosts_are_lost_and_each_leaves_an_event(host: Host) -> None:
    long_ago = timezone.now() - timedelta(days=1)
    make_host("draining", status=HostStatus.DRAINING, last_seen=long_ago)
    silent = make_host("silent", last_seen=long_ago)

    assert mark_hosts_lost(50, who="sweeper") == 1

    assert list(Host.objects.filter(status="lost")) == [silent]
    assert silent.events.get().why == "Silent for 50 s."
    assert join_host("silent", "") == silent
