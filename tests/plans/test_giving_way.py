"""Who embeds for long gives way in the middle of a range to what is short, and nothing is embedded twice."""

from __future__ import annotations

from collections import Counter

import pytest

from migrations_app.models import EmbedRange, Plan, Step
from migrations_app.steps.re_embed import BATCH
from tests.knowledge.world import fill
from tests.plans.hash_world import HashWorld
from tests.worker.plans import first_step, make_plan
from worker.steps import context
from worker.steps.places import LongPlaces, LongWork
from worker.steps.runner import run_step

TEXTS = 3 * BATCH


@pytest.fixture
def plan(world: HashWorld, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan with a range of three batches to embed; who waits is looked for after each."""
    base = world.base("Notes", "one")
    fill(base, TEXTS, first=10)
    monkeypatch.setattr(context, "LOOK_SECONDS", 0.0)
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
