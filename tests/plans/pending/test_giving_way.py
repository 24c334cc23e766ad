"""Who embeds for long gives way in the middle of a range to what is short, and nothing is embedded twice."""

from __future__ import annotations

from collections import Counter

import pytest
from django.contrib.auth.models import User

from engines.services.catalog.speeds import note_embedding_speed
from engines.services.knowledge.embeddings import BATCH
from migrations_app.hosts import limit_host
from migrations_app.models import EmbedRange, Plan, Step
from migrations_app.plans.embed_ranges import create_ranges
from migrations_app.states import PlanKind
from migrations_app.steps import lengths
from migrations_app.steps.index_switches import prepare_switches
from tests.knowledge.world import fill, make_base, make_space
from tests.knowledge.world import live_index as index_of
from tests.plans.hash_world import HashWorld
from tests.worker.plans import first_step, make_host, make_plan
from worker.steps import context
from worker.steps.embedding import help_embedding
from worker.steps.places import WAITS, LongPlaces, LongWork
from worker.steps.runner import run_step

TEXTS = 3 * BATCH


@pytest.fixture
def plan(world: HashWorld, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan with a range of three batches to embed; who waits is looked for after each."""
    base = world.base("Notes", "one")
    fill(base, TEXTS, first=10)
    monkeypatch.setattr(context, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(lengths, "LONG_TEXTS", TEXTS)
    return world.migration("new")


@pytest.fixture
def waiting() -> Step:
    """A step of somebody else that has waited for a thread for long."""
    step = first_step(make_plan())
    Step.objects.filter(pk=step.pk).update(ready_at="2020-01-01T00:00Z")
    return step


def test_a_range_is_left_between_batches_for_what_is_short_and_taken_up_again(
    world: HashWorld, plan: Plan, waiting: Step
) -> None:
    step = plan.steps.get(kind="re_embed")
    embedded = world.lender.of("new").texts

    for batches in (1, 2):
        assert run_step(step.pk) == "Put back: Others wait for their turn on this host."
        assert len(embedded) == batches * BATCH, "a batch at each attempt, and no more"
    step.refresh_from_db()
    assert (step.status, step.attempts, step.failures, step.owner) == ("pending", 0, 0, "")
    assert set(EmbedRange.objects.values_list("status", "owner")) == {("pending", "")}

    Step.objects.filter(pk=waiting.pk).update(status="completed")
    world.run(plan)

    assert plan.status == "completed"
    assert set(Counter(embedded).values()) == {1}
    assert len(embedded) == TEXTS + 1
    assert world.answers_for_the_database()


@pytest.mark.parametrize(("texts_per_second", "first"), [(1, BATCH), (25, 50), (9000, TEXTS + 1)])
def test_the_first_batch_is_what_the_host_lately_embedded_in_two_seconds(
    world: HashWorld, plan: Plan, waiting: Step, texts_per_second: int, first: int
) -> None:
    revision = plan.embedder_revision
    assert revision is not None
    note_embedding_speed(
        revision, world.host, texts=100, characters=1000, seconds=100 / texts_per_second
    )

    run_step(plan.steps.get(kind="re_embed").pk)

    assert len(world.lender.of("new").texts) == first


def test_a_range_is_left_for_who_has_a_thread_but_no_range_by_the_hosts_limit(
    world: HashWorld, plan: Plan
) -> None:
    limit_host(world.host, {"embedding_threads": 1}, who="oscar")
    big = plan.steps.get(kind="re_embed")
    few = make_base(User.objects.create_user("bob"), make_space("elsewhere"))
    fill(few, 3, first=1000)
    other = make_plan(PlanKind.RE_EMBED)
    Plan.objects.filter(pk=other.pk).update(base=few)
    # What waits for a thread is waited for as well, once it has waited for a second.
    other.steps.filter(kind="fetch_engine").update(status="completed")
    small = other.steps.get(kind="re_embed")
    Step.objects.filter(pk=small.pk).update(
        status="in_progress", fence=1, lease_until="2999-01-01T00:00Z"
    )
    create_ranges(small, [index_of(few)])

    assert run_step(big.pk).startswith("Put back"), "after a batch"
    assert len(world.lender.of("new").texts) == BATCH

    EmbedRange.objects.filter(step=small).update(status="completed")
    assert run_step(big.pk).startswith(f"Embedded {TEXTS + 1} texts"), "of both attempts"
    assert set(Counter(world.lender.of("new").texts).values()) == {1}


def test_a_range_is_not_left_for_what_takes_long_as_well(
    world: HashWorld, plan: Plan, waiting: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = LongPlaces()
    places.limit(2)
    monkeypatch.setattr("worker.steps.context.long_places", places)
    with (
        places.hold(LongWork("step", 0, None, lambda: None)),
        places.hold(LongWork("step", waiting.pk, None, lambda: None)) as has_place,
    ):
        assert not has_place
        # One range: after it nothing is left to give way with.
        answer = run_step(plan.steps.get(kind="re_embed").pk)

    assert answer.startswith(f"Embedded {TEXTS + 1} texts")


def test_a_host_that_helps_gives_way_to_its_own_people_and_comes_back(
    plan: Plan, waiting: Step, world: HashWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = plan.steps.get(kind="re_embed")
    places, called = LongPlaces(), list[int]()
    places.limit(2)
    monkeypatch.setattr("worker.steps.embedding.long_places", places)
    monkeypatch.setattr(
        "worker.steps.embedding.publish_help", lambda step, _host: called.append(step.pk)
    )
    Step.objects.filter(pk=step.pk).update(
        host=make_host("elsewhere"), status="in_progress", fence=1, lease_until="2999-01-01T00:00Z"
    )
    create_ranges(step, [switch.to_index for switch in prepare_switches(plan)])

    assert help_embedding(step.pk) == "Embedded 0 ranges for elsewhere."
    assert called == [step.pk]
    with places.hold(LongWork("step", 0, None, lambda: None)):
        assert help_embedding(step.pk) == WAITS
    assert called == [step.pk] * 2
    Step.objects.filter(pk=waiting.pk).update(status="completed")

    assert help_embedding(step.pk) == "Embedded 1 ranges for elsewhere."
    assert set(Counter(world.lender.of("new").texts).values()) == {1}
    assert not places.is_waited_for
