"""Who waits for a host gets a turn: its limits, and people who take turns between ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from engines.exceptions import DiskFullError, InvalidRequestError
from engines.models import (
    CopyStatus,
    Host,
    HostEvent,
    HostLimits,
    ModelCopy,
    parse_limits,
)
from engines.services.catalog.copies import free_disk_of, require_disk_limit
from engines.services.catalog.fit import machine_of
from migrations_app.hosts import limit_host
from migrations_app.models import EmbedRange, Plan, Step
from migrations_app.plans import embed_ranges
from migrations_app.plans.embed_ranges import (
    RangeClaim,
    claim_range,
    create_ranges,
    finish_range,
)
from migrations_app.plans.transitions import (
    MAX_FAILURES,
    Claim,
    Outcome,
    cancel_step,
    claim_step,
    fail_step,
    finish_step,
    is_waited_for,
    release_step,
    request_cancel,
    request_pause,
    yield_step,
)
from migrations_app.states import PlanKind
from tests.knowledge.world import fill, make_base, make_model, make_space
from tests.worker.plans import first_step, make_host, make_plan

pytestmark = pytest.mark.django_db(transaction=True)


def owner(number: int) -> str:
    return f"{make_host().name}:1:x/{number}"


def limited(**limits: int) -> Host:
    return limit_host(make_host(), limits, who="oscar")


def plan_of(name: str, kind: PlanKind = PlanKind.VERIFY) -> Plan:
    """Make a plan of a person; ``-`` is nobody: the system's own."""
    if name == "-":
        return make_plan(kind)
    user, _ = User.objects.get_or_create(username=name)
    plan = make_plan(kind)
    Plan.objects.filter(pk=plan.pk).update(created_by=user)
    return plan


def claims(plan: Plan, number: int = 1) -> Any:
    return claim_step(first_step(plan).pk, owner(number))


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"plans": -1}, "whole number"),
        ({"plans": True}, "whole number"),
        ({"plans": 1.5}, "whole number"),
        ({"plans": 2**60}, "whole number"),
        ({"plnas": 1}, "no limit 'plnas'"),
        ([1], "an object"),
    ],
)
def test_a_limit_that_is_none_is_refused(wish: Any, sentence: str) -> None:
    host = limited(plans=3)

    with pytest.raises(InvalidRequestError, match=sentence):
        limit_host(host, wish, who="oscar")
    with pytest.raises(ValidationError):
        Host(name="x", limits=wish).full_clean()

    host.refresh_from_db()
    assert host.limits == {"plans": 3}
    assert HostEvent.objects.get(host=host).why == "Limits: plans 3."


@pytest.mark.parametrize(
    ("limits", "kinds", "people", "taken"),
    [
        ({}, "vvv", "aab", 3),
        ({"plans": 2}, "vvv", "aab", 2),
        ({"plans_per_person": 1}, "vvv", "aab", 2),
        ({"plans_per_person": 1}, "vv", "--", 2),
        ({"downloads": 1}, "ddv", "aab", 2),
        ({"downloads_per_person": 1}, "ddd", "aab", 2),
        ({"plans": 3, "downloads": 1}, "dvvv", "aabb", 3),
    ],
)
def test_a_host_begins_no_more_steps_than_it_may(
    limits: dict[str, int], kinds: str, people: str, taken: int, redis_client: Any
) -> None:
    limited(**limits)
    kind_of = {"v": PlanKind.VERIFY, "d": PlanKind.DOWNLOAD}
    plans = [plan_of(who, kind_of[kind]) for who, kind in zip(people, kinds, strict=True)]

    held = [claim for number, plan in enumerate(plans) if (claim := claims(plan, number))]

    assert len(held) == taken
    waiting = Step.objects.filter(status="pending")
    assert all("as many as it may" in step.detail for step in waiting)
    if waiting:
        before = dict(waiting.values_list("pk", "publish_count"))
        finish_step(held[0], Outcome("Done."))
        called = [
            pk for pk, count in waiting.values_list("pk", "publish_count") if count > before[pk]
        ]
        assert called, "who waited is called when a place is free"
        assert any(claim_step(pk, owner(9)) for pk in called)


def test_a_dead_workers_place_is_free_once_its_lease_has_ended(redis_client: Any) -> None:
    limited(plans=1)
    first, second = plan_of("a"), plan_of("b")
    assert claims(first)
    assert not claims(second)

    Step.objects.filter(plan=first).update(lease_until="2020-01-01T00:00Z")

    assert claims(second)
    assert not claims(first), "the place is taken now"


def cancel(claim: Claim) -> None:
    request_cancel(Step.objects.get(pk=claim.step_id).plan_id, who="ada")
    cancel_step(claim)


def pause(claim: Claim) -> None:
    request_pause(Step.objects.get(pk=claim.step_id).plan_id, who="ada")


def give_up(claim: Claim) -> None:
    Step.objects.filter(pk=claim.step_id).update(failures=MAX_FAILURES - 1)
    release_step(claim, why="The line is dead.", failed=True)


ENDS: dict[str, Callable[[Claim], object]] = {
    "finished": lambda claim: finish_step(claim, Outcome("Done.")),
    "failed": lambda claim: fail_step(claim, error="No such file."),
    "put back": lambda claim: release_step(claim, why="The line is dead.", delay=60, failed=True),
    "given up": give_up,
    "yielded": lambda claim: yield_step(claim, why="Others wait."),
    "cancelled": cancel,
    "paused": pause,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_however_a_step_ends_who_waits_for_its_place_is_called(
    end: Callable[[Claim], object], redis_client: Any
) -> None:
    limited(plans=1)
    first, second = plan_of("a", PlanKind.DOWNLOAD), plan_of("b")
    claim = claims(first)
    assert not claims(second)
    before = first_step(second).publish_count

    end(claim)

    assert first_step(second).publish_count == before + 1
    assert claims(second)


CHUNKS = 4


@pytest.fixture
def short_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_ranges, "RANGE_CHUNKS", CHUNKS)


class Big:
    """Bases in one space on one host, each with the running step of a person of its own."""

    def __init__(self, *sizes: int) -> None:
        self.host = make_host()
        space = make_space("embedder")
        ModelCopy.objects.create(
            revision=space.revision,
            host=self.host,
            path="/x",
            checksum="b",
            status=CopyStatus.DOWNLOADED,
        )
        self.steps = []
        for number, ranges in enumerate(sizes):
            user = User.objects.create_user(f"person-{number}")
            base = make_base(user, space)
            fill(base, ranges * CHUNKS, first=number * 1_000_000)
            plan = make_plan(PlanKind.RE_EMBED)
            Plan.objects.filter(pk=plan.pk).update(user=user)
            step = plan.steps.get(kind="re_embed")
            Step.objects.filter(pk=step.pk).update(
                status="in_progress", fence=1, lease_until="2999-01-01T00:00Z"
            )
            index = base.live_index
            assert index is not None
            create_ranges(step, [index])
            self.steps.append(step)

    def claim(self, number: int) -> RangeClaim | None:
        return claim_range(self.steps[number].pk, owner(number), self.host)

    def lives(self, number: int, until: str) -> None:
        """Say until when the holder of a step has its lease."""
        Step.objects.filter(pk=self.steps[number].pk).update(lease_until=until)

    def left(self, number: int) -> int:
        return (
            EmbedRange.objects.filter(step=self.steps[number]).exclude(status="completed").count()
        )


@pytest.mark.usefixtures("short_ranges")
@pytest.mark.parametrize("threads", [1, 2])
def test_who_has_few_texts_does_not_wait_for_those_who_have_many(threads: int) -> None:
    """Counted in ranges: alone it takes 3 turns, beside three people with many at most 9."""
    world = Big(9, 9, 9, 3)
    small, many = 3, (0, 1, 2)
    limit_host(world.host, {"embedding_threads": threads}, who="oscar")
    held: list[tuple[int, RangeClaim]] = []
    turns = 0

    def take(numbers: tuple[int, ...]) -> None:
        for number in numbers:
            claim = world.claim(number)
            if claim is not None:
                held.append((number, claim))
        assert len(held) <= threads

    world.lives(small, "2020-01-01T00:00Z")
    for _ in range(6):
        take(many)
        finish_range(held.pop(0)[1])
    world.lives(small, "2999-01-01T00:00Z")
    while world.left(small):
        # The small one is always the last to ask.
        take((*many, small))
        finish_range(held.pop(0)[1])
        turns += 1

    assert turns <= 3 * 3
    assert sum(world.left(number) for number in many) > 0


@pytest.mark.usefixtures("short_ranges")
def test_a_persons_own_limit_and_a_dead_rival_leave_nobody_waiting() -> None:
    world = Big(4, 4)
    limit_host(world.host, {"embedding_threads": 2, "embedding_threads_per_person": 1}, who="oscar")

    assert world.claim(0)
    assert world.claim(0) is None, "one of theirs runs"
    world.lives(1, "2020-01-01T00:00Z")
    limit_host(world.host, {"embedding_threads": 2}, who="oscar")
    assert world.claim(0), "the rival who had fewer is not there to take it"
    assert world.claim(1) is None, "all threads are taken"


def test_who_embeds_for_long_lets_others_have_a_turn_and_goes_on_behind_them(
    redis_client: Any,
) -> None:
    """Of one thread; the rest of the machinery is in test_runner."""
    mine = plan_of("a")
    claim = claims(mine)
    step = first_step(mine)
    assert not is_waited_for(step)

    waiting = plan_of("b", PlanKind.DOWNLOAD)
    assert not is_waited_for(step), "its message is on its way"
    Step.objects.filter(plan=waiting).update(ready_at="2020-01-01T00:00Z")
    assert is_waited_for(step)
    limited(downloads=1)
    other = plan_of("c", PlanKind.DOWNLOAD)
    assert claims(other, 2)
    assert not is_waited_for(step), "it would not be taken if this one left"
    limited(plans=2)
    assert is_waited_for(step)
    before = first_step(mine)

    yield_step(claim, why="Others wait.")

    after = first_step(mine)
    assert (after.status, after.attempts, after.owner) == ("pending", before.attempts - 1, "")
    order = [step.plan_id for step in Step.objects.filter(status="pending").order_by("ready_at")]
    assert order == [waiting.pk, mine.pk]


def test_memory_and_disk_of_a_host_end_at_its_limits() -> None:
    host = make_host(memory_bytes=16 << 30, disk_free_bytes=100 << 30)
    assert machine_of(host).memory_bytes == 16 << 30
    revision = make_model("large")
    other = make_model("other")
    ModelCopy.objects.create(revision=other, host=host, status=CopyStatus.DOWNLOADING)
    require_disk_limit(host, revision)

    host = limited(memory_bytes=4 << 30, disk_bytes=1500)

    assert machine_of(host).memory_bytes == 4 << 30
    assert free_disk_of(host) == 500
    assert machine_of(host).disk_free_bytes == 500
    with pytest.raises(DiskFullError, match="raise the limit disk_bytes"):
        require_disk_limit(host, revision)
    require_disk_limit(host, other)
    assert parse_limits({"plans": 2, "downloads": 0}) == HostLimits(plans=2)
