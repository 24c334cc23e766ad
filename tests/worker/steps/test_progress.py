from __future__ import annotations

import json
from typing import Any

import pytest

from migrations_app.models import Plan
from migrations_app.plans.transitions import Outcome
from migrations_app.states import PlanKind
from migrations_app.steps.base import StepContext
from tests.worker.conftest import Install
from tests.worker.plans import make_plan
from tests.worker.steps.test_runner import done
from worker.steps.runner import run_step

pytestmark = pytest.mark.django_db(transaction=True)


def test_progress_is_told_to_redis_and_the_database_and_never_goes_back(
    handle: Install, redis_client: Any
) -> None:
    def handler(ctx: StepContext) -> Outcome:
        ctx.progress(0.5, "Half of it.")
        ctx.progress(0.6, "Too soon to be told.")
        return done(ctx)

    handle("back_up", handler)
    handle("fetch_engine", done)
    plan = make_plan(PlanKind.MIGRATE)
    steps = list(plan.steps.order_by("position"))
    run_step(steps[0].pk)
    seen: list[float] = []
    handle("back_up", lambda ctx: _noting(ctx, handler, seen))

    run_step(steps[1].pk)

    assert json.loads(str(redis_client.get(f"sam:progress:{plan.pk}"))) == {
        "step": "back_up",
        "progress": 0.5,
        "percentage": 25.0,
        "detail": "Half of it.",
    }
    assert 0 < redis_client.ttl(f"sam:progress:{plan.pk}") <= 3600
    assert seen == [25.0]


def _noting(ctx: StepContext, handler: Any, seen: list[float]) -> Outcome:
    outcome: Outcome = handler(ctx)
    seen.append(Plan.objects.get(pk=ctx.plan.pk).progress_percentage)
    return outcome
