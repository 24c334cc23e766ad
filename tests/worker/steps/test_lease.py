from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from engines.models import CatalogModel, Fingerprint, KnowledgeBase, ModelRevision
from migrations_app.models import EmbedRange, Plan, Step
from migrations_app.plans.transitions import CancelAskedError, Claim, LeaseLostError, claim_step
from tests.worker.locks import held_elsewhere
from tests.worker.plans import first_step, make_plan
from tests.worker.processes import wait_until
from worker.steps.lease import LeaseKeeper

pytestmark = pytest.mark.django_db(transaction=True)


def claimed(owner: str) -> tuple[Plan, Claim]:
    plan = make_plan()
    claim = claim_step(first_step(plan).pk, owner)
    assert claim is not None
    return plan, claim


def taken_over(claim: Claim, owner: str) -> Claim:
    Step.objects.filter(pk=claim.step_id).update(lease_until=timezone.now() - timedelta(seconds=1))
    successor = claim_step(claim.step_id, owner)
    assert successor is not None
    return successor


def let_almost_run_out(claim: Claim) -> None:
    soon = timezone.now() + timedelta(seconds=1)
    Step.objects.filter(pk=claim.step_id).update(lease_until=soon)


def seconds_left(claim: Claim) -> float:
    until = Step.objects.get(pk=claim.step_id).lease_until
    assert until is not None
    return (until - timezone.now()).total_seconds()


def make_range(step_id: int, owner: str) -> EmbedRange:
    user, _ = User.objects.get_or_create(username="ada")
    model, _ = CatalogModel.objects.get_or_create(model_id="mini", role="embedding")
    revision, _ = ModelRevision.objects.get_or_create(
        model=model, commit="0" * 40, defaults={"sha256": "1" * 64, "file_size": 1}
    )
    space, _ = Fingerprint.objects.get_or_create(
        digest="2" * 64, defaults={"revision": revision, "facts": {}}
    )
    return EmbedRange.objects.create(
        step_id=step_id,
        base=KnowledgeBase.objects.create(owner=user, name="notes"),
        fingerprint=space,
        first_id=1,
        last_id=2,
        status="in_progress",
        fence=1,
        owner=owner,
        lease_until=timezone.now() + timedelta(seconds=1),
    )


def test_one_beat_renews_all_leases_with_one_statement_for_steps_and_one_for_ranges(
    keeper: LeaseKeeper,
) -> None:
    claims = [claimed(f"me/{number}")[1] for number in range(5)]
    ranges = [make_range(claims[number].step_id, f"me/{number}") for number in range(3)]
    of_another = make_range(claims[0].step_id, "you/0")
    for claim in claims:
        let_almost_run_out(claim)
    stack = [keeper.hold_step(claim, taken_at=time.monotonic()) for claim in claims]
    for held in stack:
        held.__enter__()

    with CaptureQueriesContext(
        connection,
    ) as queries:
        keeper.beat()

    statements = [query["sql"] for query in queries]
    assert sum("UPDATE migrations_app_step" in sql for sql in statements) == 1
    assert sum("UPDATE migrations_app_embedrange" in sql for sql in statements) == 1
    assert all(seconds_left(claim) > 1 for claim in claims)
    limit = timezone.now() + timedelta(seconds=1)
    assert (
        EmbedRange.objects.filter(pk__in=[r.pk for r in ranges], lease_until__gt=limit).count() == 3
    )
    assert EmbedRange.objects.get(pk=of_another.pk).lease_until == of_another.lease_until
    for held in stack:
        held.__exit__(None, None, None)


def test_a_lease_is_renewed_by_a_thread_for_as_long_as_it_is_held() -> None:
    _, claim = claimed("me/1")
    let_almost_run_out(claim)

    with LeaseKeeper().hold_step(claim, taken_at=time.monotonic()):
        wait_until(lambda: seconds_left(claim) > 1, "the thread to renew the lease")


def test_what_is_no_longer_held_is_not_renewed(keeper: LeaseKeeper) -> None:
    _, claim = claimed("me/1")
    row = make_range(claim.step_id, "me/1")
    with keeper.hold_step(claim, taken_at=time.monotonic()):
        pass
    before = Step.objects.values("lease_until").get(pk=claim.step_id)

    keeper.beat()

    assert Step.objects.values("lease_until").get(pk=claim.step_id) == before
    assert EmbedRange.objects.get(pk=row.pk).lease_until == row.lease_until


def test_a_holder_whose_fence_was_passed_is_told_and_the_new_holder_is_left(
    keeper: LeaseKeeper,
) -> None:
    (_, claim), (_, first) = claimed("me/1"), claimed("me/2")
    successor, other = taken_over(claim, "you/1"), taken_over(first, "me/2")
    # What this process holds of another step has the very fence.
    assert successor.fence == other.fence
    before = Step.objects.values().get(pk=claim.step_id)

    with (
        keeper.hold_step(claim, taken_at=time.monotonic()) as lease,
        keeper.hold_step(other, taken_at=time.monotonic()) as other_lease,
    ):
        keeper.beat()
        other_lease.check()
        with pytest.raises(LeaseLostError):
            lease.check()

    assert Step.objects.values().get(pk=claim.step_id) == before


@pytest.mark.parametrize("status", ["pending", "completed"])
def test_a_step_that_was_paused_or_ended_meanwhile_is_left_and_its_holder_is_told(
    keeper: LeaseKeeper, status: str
) -> None:
    (_, claim), (_, other) = claimed("me/1"), claimed("me/2")
    let_almost_run_out(other)

    with (
        keeper.hold_step(claim, taken_at=time.monotonic()) as lease,
        keeper.hold_step(other, taken_at=time.monotonic()),
    ):
        Step.objects.filter(pk=claim.step_id).update(status=status, lease_until=None, owner="")
        before = Step.objects.values().get(pk=claim.step_id)
        keeper.beat()
        with pytest.raises(LeaseLostError):
            lease.check()

    assert Step.objects.values().get(pk=claim.step_id) == before
    assert seconds_left(other) > 1


def test_a_step_whose_row_is_locked_for_a_moment_is_not_lost_and_holds_up_no_other(
    keeper: LeaseKeeper,
) -> None:
    (_, locked), (_, other) = claimed("me/1"), claimed("me/2")
    let_almost_run_out(other)
    with (
        held_elsewhere(lambda: Step.objects.select_for_update().get(pk=locked.step_id)),
        keeper.hold_step(locked, taken_at=time.monotonic()) as lease,
        keeper.hold_step(other, taken_at=time.monotonic()),
    ):
        keeper.beat()
        lease.check()
        assert seconds_left(other) > 1


def test_a_beat_brings_the_news_that_the_plan_is_to_be_cancelled(keeper: LeaseKeeper) -> None:
    plan, claim = claimed("me/1")
    Plan.objects.filter(pk=plan.pk).update(cancel_requested_at=timezone.now())

    with keeper.hold_step(claim, taken_at=time.monotonic()) as lease:
        lease.check()
        keeper.beat()
        with pytest.raises(CancelAskedError):
            lease.check()


def test_a_holder_that_could_not_renew_for_a_whole_lease_stops_by_itself(
    keeper: LeaseKeeper,
) -> None:
    _, claim = claimed("me/1")
    long_ago = time.monotonic() - settings.SAM_LEASE_SECONDS - 1

    with (
        keeper.hold_step(claim, taken_at=long_ago) as lease,
        pytest.raises(LeaseLostError, match="could not be renewed"),
    ):
        lease.check()


def test_who_helps_with_ranges_alone_keeps_those_and_nothing_of_the_step(
    keeper: LeaseKeeper,
) -> None:
    _, claim = claimed("you/1")
    let_almost_run_out(claim)
    row = make_range(claim.step_id, "me/1")
    step = Step.objects.values().get(pk=claim.step_id)
    long_ago = time.monotonic() - settings.SAM_LEASE_SECONDS - 1

    with keeper.hold_ranges("me/1") as lease:
        lease.renewed(long_ago, cancelled=False)
        with pytest.raises(LeaseLostError, match="could not be renewed"):
            lease.check()
        keeper.beat()
        lease.check()

    soon = timezone.now() + timedelta(seconds=5)
    assert EmbedRange.objects.filter(pk=row.pk, lease_until__gt=soon).exists()
    assert Step.objects.values().get(pk=claim.step_id) == step


def test_a_range_that_has_ended_is_not_renewed(keeper: LeaseKeeper) -> None:
    _, claim = claimed("me/1")
    row = make_range(claim.step_id, "me/1")
    EmbedRange.objects.filter(pk=row.pk).update(status="completed")

    with keeper.hold_step(claim, taken_at=time.monotonic()):
        keeper.beat()

    assert EmbedRange.objects.get(pk=row.pk).lease_until == row.lease_until


def test_a_beat_that_hangs_ends_before_the_lease_that_it_renews(
    keeper: LeaseKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SAM_LEASE_SECONDS", 1)
    _, claim = claimed("me/1")
    row = make_range(claim.step_id, "me/1")
    with (
        held_elsewhere(lambda: EmbedRange.objects.select_for_update().get(pk=row.pk)),
        keeper.hold_step(claim, taken_at=time.monotonic()),
        pytest.raises(OperationalError, match="statement timeout"),
    ):
        keeper.beat()


def test_a_beat_without_leases_asks_the_database_nothing(keeper: LeaseKeeper) -> None:
    with CaptureQueriesContext(connection) as queries:
        keeper.beat()

    assert list(queries) == []
