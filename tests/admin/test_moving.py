"""Moving many people: what it would mean for each, one plan a person, nobody moved twice."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from engines.models import EnginePreference, KnowledgeBase
from migrations_app.models import Plan
from tests.admin.test_admin import act, curator, engines, operator, people, signed_in
from tests.api.roles import Engines, People, use_engine

__all__ = ["curator", "engines", "operator", "people"]

USERS = "/admin/auth/user/"
PREFERENCES = "/admin/engines/enginepreference/"


@pytest.fixture
def settled(people: People, engines: Engines) -> list[EnginePreference]:
    return [
        use_engine(people.alice, engines.old),
        use_engine(people.bob, engines.old),
        use_engine(people.curator, engines.new),
    ]


def ask(client: Client, rows: list[Any], engine: Any = "") -> Any:
    keys = [str(row.pk) for row in rows]
    chosen = {"action": "move_people", "_selected_action": keys, "engine": str(engine)}
    return client.post(PREFERENCES, chosen)


def test_what_it_would_mean_is_shown_and_nothing_is_made(
    operator: Client, people: People, engines: Engines, settled: list[EnginePreference]
) -> None:
    KnowledgeBase.objects.create(owner=people.alice, name="very secret")

    answer = ask(operator, settled, engines.new.pk)

    lines = answer.context["lines"]
    assert [(line.person.username, line.engine, bool(line.refusal)) for line in lines] == [
        ("alice", "LLAMA-8B", False),
        ("bob", "LLAMA-8B", False),
        ("carol", "QWEN-4B", True),
    ]
    assert "very secret" not in answer.content.decode()
    assert not Plan.objects.exists()


def test_each_gets_a_plan_and_doing_it_again_makes_no_other(
    operator: Client, people: People, engines: Engines, settled: list[EnginePreference]
) -> None:
    confirmed = {"engine": str(engines.new.pk), "confirmed": "yes"}

    first = act(operator, PREFERENCES, "move_people", settled, **confirmed)
    second = act(operator, PREFERENCES, "move_people", settled, **confirmed)

    assert "2 moves started." in first
    assert "carol was left out: QWEN-4B answers already." in first
    assert "alice was left out: A plan of this person is open already." in second
    assert sorted(Plan.objects.values_list("user__username", "status", "created_by__username")) == [
        ("alice", "in_progress", "oscar"),
        ("bob", "in_progress", "oscar"),
    ]


def test_a_reserved_engine_moves_nobody_who_may_not_have_it(
    operator: Client, engines: Engines, settled: list[EnginePreference]
) -> None:
    confirmed = {"engine": str(engines.reserved.pk), "confirmed": "yes"}

    said = act(operator, PREFERENCES, "move_people", settled[:1], **confirmed)

    assert "RESERVED-8B is reserved for others." in said
    assert not Plan.objects.exists()


def test_an_administrator_moves_people_from_their_list(
    people: People, engines: Engines, settled: list[EnginePreference]
) -> None:
    administrator = signed_in(people.administrator)

    said = act(
        administrator,
        USERS,
        "move_people",
        [people.alice],
        engine=str(engines.new.pk),
        confirmed="yes",
    )

    assert said == "1 move started."


@pytest.mark.parametrize("engine", ["", "x", "999999"])
def test_no_engine_moves_nobody(
    operator: Client, settled: list[EnginePreference], engine: str
) -> None:
    answer = ask(operator, settled, engine)

    assert answer.status_code == 200
    assert answer.context["engine"] is None
    assert not Plan.objects.exists()


def test_a_curator_moves_nobody(curator: Client, settled: list[EnginePreference]) -> None:
    assert ask(curator, settled).status_code == 403
    assert not Plan.objects.exists()
