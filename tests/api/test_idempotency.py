from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from migrations_app.models import IdempotencyKey, Plan, PlanEvent
from tests.api.roles import (
    Engines,
    People,
    client_of,
    make_engines,
    make_people,
    make_plan,
    problem,
    use_engine,
)

URL = "/api/v1/plans"
ASKED = {"to_engine": "qwen-4b"}


def create(client: APIClient, body: dict[str, Any], key: str) -> Any:
    return client.post(URL, body, format="json", HTTP_IDEMPOTENCY_KEY=key)


def test_the_same_key_and_body_give_the_same_answer_and_one_plan(
    alice: APIClient, people: People, engines: Engines
) -> None:
    first, second = (create(alice, ASKED, "key-1") for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert first["Location"] == second["Location"]
    assert Plan.objects.count() == 1


def test_the_same_key_with_another_body_is_422(alice: APIClient, engines: Engines) -> None:
    create(alice, ASKED, "key-1")

    answer = create(alice, {**ASKED, "re_embed": False}, "key-1")

    problem(answer, 422, "idempotency_key_reused")
    assert Plan.objects.count() == 1


def test_a_key_belongs_to_one_address(alice: APIClient, people: People, engines: Engines) -> None:
    plan = make_plan(people.alice, engines)
    alice.post(f"{URL}/{plan.pk}/execute", HTTP_IDEMPOTENCY_KEY="k")

    answer = alice.post(f"{URL}/{plan.pk}/cancel", HTTP_IDEMPOTENCY_KEY="k")

    problem(answer, 422, "idempotency_key_reused")
    plan.refresh_from_db()
    assert plan.status == "in_progress"


def test_a_key_is_the_persons_own(alice: APIClient, bob: APIClient, engines: Engines) -> None:
    create(alice, ASKED, "key-1")

    assert create(bob, ASKED, "key-1").status_code == 201
    assert Plan.objects.count() == 2


def test_a_refused_request_leaves_no_key_and_may_be_repeated(
    alice: APIClient, engines: Engines
) -> None:
    problem(create(alice, {"to_engine": "nothing"}, "key-1"), 404, "not_found")
    assert not IdempotencyKey.objects.exists()

    assert create(alice, ASKED, "key-1").status_code == 201


@pytest.mark.parametrize("key", ["", "with space", "x" * 201, "ü", "a\tb"])
def test_a_key_that_is_none_is_400(alice: APIClient, engines: Engines, key: str) -> None:
    problem(create(alice, ASKED, key), 400, "invalid_request")

    assert not Plan.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_concurrent_duplicates_make_one_plan_and_hear_the_same() -> None:
    people, _ = make_people(), make_engines()
    barrier = Barrier(6)

    def ask(_: int) -> tuple[int, str]:
        barrier.wait(timeout=30)
        try:
            answer = create(client_of(people.alice), ASKED, "key-1")
            return answer.status_code, answer["Location"]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(ask, range(6)))

    plan = Plan.objects.get()
    assert answers == {(201, f"{URL}/{plan.pk}")}


@pytest.mark.django_db(transaction=True)
def test_many_plans_executed_at_once_give_one_start_and_conflicts() -> None:
    people, engines = make_people(), make_engines()
    use_engine(people.alice, engines.old)
    plans = [make_plan(people.alice, engines) for _ in range(6)]
    barrier = Barrier(6)

    def execute(plan: Plan) -> int:
        barrier.wait(timeout=30)
        try:
            return client_of(people.alice).post(f"{URL}/{plan.pk}/execute").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(execute, plans))

    assert statuses == [202, 409, 409, 409, 409, 409]
    assert Plan.objects.filter(status="in_progress").count() == 1
    assert PlanEvent.objects.filter(to_status="in_progress").count() == 1
