from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from redis import Redis

from migrations_app.models import Plan, Step
from migrations_app.plans.time_left import Amount
from migrations_app.plans.transitions import Claim, Outcome, claim_step, finish_step
from tests.openai_api.web import WebProcess
from tests.tokens import token_for
from tests.worker.plans import make_plan
from tests.worker.processes import WORK, WorkerProcess
from worker.steps.context import WorkerContext
from worker.steps.lease import StepLease

LISTENED = "listened to"


class Owner(NamedTuple):
    user: User
    token: str


@pytest.fixture
def environment(tmp_path: Path, transactional_db: None) -> dict[str, str]:
    """What a web process on the test's servers is started with; its connections have a name."""
    return {**WorkerProcess(tmp_path, WORK)._environment(), "PGAPPNAME": LISTENED}


@pytest.fixture
def web(tmp_path: Path, environment: dict[str, str], redis_client: Redis) -> Iterator[WebProcess]:
    with WebProcess(tmp_path, environment) as running:
        yield running


@pytest.fixture
def owner(transactional_db: None) -> Owner:
    user = User.objects.create_user("olga")
    return Owner(user, token_for(user))


def plan_of(user: User) -> Plan:
    """A started plan with one step that is this person's."""
    with transaction.atomic():
        plan = make_plan()
        Plan.objects.filter(pk=plan.pk).update(created_by=user)
    return Plan.objects.get(pk=plan.pk)


class Work:
    """A worker's hands on the first step of a plan."""

    def __init__(self, plan: Plan) -> None:
        step = Step.objects.select_related("plan").get(plan=plan, position=0)
        claim = claim_step(step.pk, "me")
        assert claim is not None
        self.claim: Claim = claim
        self.context = WorkerContext(step, claim, StepLease("me", claim, 0.0), None)

    def report(self, done: float, total: float) -> None:
        self.context._reporter.tell(
            done / total, f"{done:.0f} of {total:.0f}", Amount(done, total, "texts")
        )

    def finish(self) -> None:
        finish_step(self.claim, Outcome("Done."))
