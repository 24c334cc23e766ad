from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from engines.models import KnowledgeBase
from migrations_app.models import Plan
from migrations_app.states import STEPS_OF, PlanKind, PlanStatus
from tests.api.roles import Engines, People, problem


@pytest.fixture
def base(people: People) -> KnowledgeBase:
    return KnowledgeBase.objects.create(owner=people.alice, name="Notes")


def address(base: KnowledgeBase) -> str:
    return f"/api/v1/knowledge-bases/{base.pk}/re-embed"


def test_another_embedder_is_a_plan_that_has_started(
    alice: APIClient, base: KnowledgeBase, engines: Engines
) -> None:
    answer = alice.post(address(base), {"engine": engines.new.model_id}, format="json")

    assert answer.status_code == 202, answer.content
    plan = Plan.objects.get()
    assert answer.headers["Location"].endswith(str(plan.pk))
    assert (plan.kind, plan.status, plan.base) == (PlanKind.RE_EMBED, PlanStatus.IN_PROGRESS, base)
    assert [step["kind"] for step in answer.json()["steps"]] == list(STEPS_OF[PlanKind.RE_EMBED])


def test_a_strangers_base_is_404_and_nothing_is_planned(
    bob: APIClient, base: KnowledgeBase, engines: Engines
) -> None:
    answer = bob.post(address(base), {"engine": engines.new.model_id}, format="json")

    problem(answer, 404, "not_found")
    assert not Plan.objects.exists()


def test_an_engine_that_is_none_is_refused_and_nothing_is_planned(
    alice: APIClient, base: KnowledgeBase, engines: Engines
) -> None:
    problem(alice.post(address(base), {"engine": "no-such"}, format="json"), 404, "not_found")
    problem(alice.post(address(base), {"motor": "x"}, format="json"), 400, "invalid_request")

    assert not Plan.objects.exists()
