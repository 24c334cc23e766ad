"""People take turns: a plan that embeds for long goes behind those who wait, and computes nothing twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from migrations_app.models import EmbedRange, Plan, Step
from migrations_app.plans import embed_ranges
from migrations_app.states import PlanKind
from tests.plans.hash_world import HashWorld
from tests.worker.plans import make_plan
from worker.steps.runner import run_step

TEXTS = 40


def test_a_large_plan_lets_a_small_one_begin_after_one_range_and_goes_on(
    world: HashWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_ranges, "RANGE_CHUNKS", 4)
    world.base("Notes", *(f"Text {number}." for number in range(TEXTS)))
    plan = world.migration("new")
    step = plan.steps.get(kind="re_embed")
    waiting = make_plan(PlanKind.VERIFY)
    Step.objects.filter(plan=waiting).update(ready_at="2020-01-01T00:00Z")

    assert "Others wait for their turn" in run_step(step.pk)
    assert count_done(step) == 1
    assert "Others wait for their turn" in run_step(step.pk), "a turn is a range"
    assert count_done(step) == 2
    step.refresh_from_db()
    assert (step.status, step.attempts, step.failures) == ("pending", 0, 0)
    assert step.ready_at is not None
    assert step.ready_at > timezone.now() - timedelta(hours=1)

    Plan.objects.filter(pk=waiting.pk).update(status="cancelled")
    assert world.run(plan).status == "completed"
    assert count_done(step) == TEXTS / 4
    assert sum(EmbedRange.objects.values_list("embedded", flat=True)) == TEXTS, "none twice"
    assert world.answers_for_the_database()


def count_done(step: Step) -> int:
    return EmbedRange.objects.filter(step=step, status="completed").count()
