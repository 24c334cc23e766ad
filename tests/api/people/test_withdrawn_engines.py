"""An engine that was withdrawn, or reserved for others, after people had it or planned to have it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from engines.models import CatalogModel, EnginePreference
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.api.roles import Engines, People, make_plan, problem, use_engine


def withdraw(engine: CatalogModel) -> None:
    CatalogModel.objects.filter(pk=engine.pk).update(published=False)


def reserve(engine: CatalogModel) -> None:
    engine.allowed_groups.add(Group.objects.get_or_create(name="research")[0])


@pytest.mark.parametrize("take_away", [withdraw, reserve])
def test_a_plan_made_before_does_not_start(
    alice: APIClient, people: People, engines: Engines, take_away: Callable[[CatalogModel], None]
) -> None:
    use_engine(people.alice, engines.old)
    plan = make_plan(people.alice, engines)
    take_away(engines.new)

    answer = alice.post(f"/api/v1/plans/{plan.pk}/execute")

    assert "not offered to alice any more" in problem(answer, 409, "conflict")["detail"]
    assert Plan.objects.get().status == PlanStatus.PENDING
    assert EnginePreference.objects.get().engine == engines.old


def test_neither_does_an_operator_start_it_for_the_person(
    operator: APIClient, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    plan = make_plan(people.alice, engines)
    reserve(engines.new)

    problem(operator.post(f"/api/v1/plans/{plan.pk}/execute"), 409, "conflict")

    assert Plan.objects.get().status == PlanStatus.PENDING


@pytest.mark.parametrize("take_away", [withdraw, reserve])
def test_who_has_it_keeps_it_and_is_told(
    alice: APIClient, people: People, engines: Engines, take_away: Callable[[CatalogModel], None]
) -> None:
    use_engine(people.alice, engines.old)
    assert alice.get("/api/v1/preferences").json()["is_offered"] is True

    take_away(engines.old)

    told = alice.get("/api/v1/preferences").json()
    assert (told["effective_engine_id"], told["is_offered"]) == (engines.old.model_id, False)
    plan = make_plan(people.alice, engines)
    assert alice.post(f"/api/v1/plans/{plan.pk}/execute").status_code == 202


def test_it_cannot_be_chosen_anew(alice: APIClient, people: People, engines: Engines) -> None:
    use_engine(people.alice, engines.old)
    withdraw(engines.new)

    answer = alice.patch(
        "/api/v1/preferences",
        {"active_engine_id": engines.new.model_id},
        format="json",
        headers={"If-Match": alice.get("/api/v1/preferences")["ETag"]},
    )

    problem(answer, 404, "not_found")
    assert EnginePreference.objects.get().engine == engines.old
