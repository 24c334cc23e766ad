from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.api.roles import Engines, People, make_plan, problem, use_engine
from tests.worker.plans import rows

URL = "/api/v1/plans"
TOMORROW = timezone.now().replace(microsecond=0) + timedelta(days=1)


@pytest.fixture
def plan(people: People, engines: Engines) -> Plan:
    use_engine(people.alice, engines.old)
    return make_plan(people.alice, engines)


def test_a_plan_is_made_for_later_and_confirmed(
    alice: APIClient, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    wish = {"to_engine": "qwen-4b", "not_before": TOMORROW.isoformat()}

    made = alice.post(URL, wish, format="json").json()
    agreed = alice.post(f"{URL}/{made['id']}/execute")

    assert (made["confirmed_at"], agreed.status_code) == (None, 202)
    body = agreed.json()
    assert (body["status"], body["confirmed_at"] is not None) == ("pending", True)
    assert body["not_before"] == f"{TOMORROW:%FT%TZ}"


def test_options_and_time_are_changed_and_the_rest_stays(alice: APIClient, plan: Plan) -> None:
    change = {"re_embed": False, "not_before": TOMORROW.isoformat()}
    body = alice.patch(f"{URL}/{plan.pk}", change, format="json").json()

    assert (body["re_embed_knowledge"], body["backup_lora_adapters"]) == (False, True)
    assert body["not_before"] == f"{TOMORROW:%FT%TZ}"

    body = alice.patch(f"{URL}/{plan.pk}", {"not_before": None}, format="json").json()
    assert (body["re_embed_knowledge"], body["not_before"]) == (False, None)
    assert [event["who"] for event in body["events"]] == ["alice", "alice"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"not_before": "soon"}, "not_before"),
        ({"re_embed": "perhaps"}, "re_embed"),
        ({"status": "completed"}, "status"),
        ({"to_engine": "llama-8b"}, "to_engine"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    alice: APIClient, plan: Plan, change: dict[str, Any], field: str
) -> None:
    before = rows(plan)

    body = problem(alice.patch(f"{URL}/{plan.pk}", change, format="json"), 400, "invalid_request")

    assert field in str(body)
    assert rows(plan) == before


def test_a_past_time_is_a_sentence(alice: APIClient, plan: Plan) -> None:
    change = {"not_before": "2020-01-01T03:00:00Z"}

    body = problem(alice.patch(f"{URL}/{plan.pk}", change, format="json"), 400, "invalid_request")

    assert "has passed" in body["detail"]


def test_what_is_not_yours_is_404_and_an_operator_may(
    bob: APIClient, operator: APIClient, plan: Plan
) -> None:
    before = rows(plan)
    problem(bob.patch(f"{URL}/{plan.pk}", {"re_embed": False}, format="json"), 404, "not_found")
    assert rows(plan) == before

    assert operator.patch(f"{URL}/{plan.pk}", {"re_embed": False}, format="json").status_code == 200


def test_a_started_plan_is_409(alice: APIClient, plan: Plan) -> None:
    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.IN_PROGRESS)

    answer = alice.patch(f"{URL}/{plan.pk}", {"re_embed": False}, format="json")

    problem(answer, 409, "illegal_move")
