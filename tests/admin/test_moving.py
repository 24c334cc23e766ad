"""Moving many people: what it would mean for each, then a page that says what became of everybody."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from engines.models import EnginePreference, KnowledgeBase
from migrations_app.models import MassMove, MassMoveLine, Plan
from migrations_app.moves.turn import take_turn
from tests.admin.test_admin import act, curator, engines, operator, people, signed_in
from tests.api.roles import Engines, People, use_engine

__all__ = ["curator", "engines", "operator", "people"]

USERS = "/admin/auth/user/"
PREFERENCES = "/admin/engines/enginepreference/"
MOVES = "/admin/migrations_app/massmove/"


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


def test_all_of_them_are_moved_and_the_page_says_what_became_of_each(
    operator: Client, people: People, engines: Engines, settled: list[EnginePreference]
) -> None:
    confirmed = {"engine": str(engines.new.pk), "confirmed": "yes", "at_once": "1"}

    said = act(operator, PREFERENCES, "move_people", settled, **confirmed)

    assert said == "3 people are being moved to QWEN-4B."
    take_turn()
    move = MassMove.objects.get()
    assert (move.created_by, move.at_once) == (people.operator, 1)
    page = operator.get(f"{MOVES}{move.pk}/change/")
    assert {t.state: t.count for t in page.context["tallies"]} == {
        "planned": 1,
        "running": 1,
        "refused": 1,
    }
    assert page.context["reasons"] == [("QWEN-4B answers already.", 1)]
    refused = operator.get(f"{MOVES}{move.pk}/live/", {"state": "refused"})
    assert [line.user.username for line in refused.context["page"]] == ["carol"]
    assert "3 people to QWEN-4B" in refused.content.decode()
    assert "1 planned, 1 running, 1 refused" in operator.get(MOVES).content.decode()


def test_people_beyond_the_page_of_the_list_are_moved_too(
    people: People, engines: Engines, settled: list[EnginePreference]
) -> None:
    User.objects.bulk_create(User(username=f"person-{number}") for number in range(150))
    administrator = signed_in(people.administrator)
    chosen = {
        "action": "move_people",
        "_selected_action": [str(people.alice.pk)],
        "select_across": "1",
        "engine": str(engines.new.pk),
    }

    page = administrator.post(f"{USERS}?q=person-", chosen)
    administrator.post(f"{USERS}?q=person-", {**chosen, "confirmed": "yes"})

    assert (page.context["total"].moved, len(page.context["lines"])) == (150, 100)
    assert '<input type="hidden" name="select_across" value="1">' in page.content.decode()
    assert MassMove.objects.get().lines.count() == 150


def test_the_rest_is_cancelled_and_the_refused_are_tried_again(
    operator: Client, people: People, engines: Engines, settled: list[EnginePreference]
) -> None:
    act(operator, PREFERENCES, "move_people", settled, engine=str(engines.new.pk), confirmed="yes")
    take_turn()
    address = f"{MOVES}{MassMove.objects.get().pk}/"

    assert "1 person gets another turn." in said_after(operator, f"{address}retry/")
    assert "The rest is cancelled" in said_after(operator, f"{address}cancel/")
    assert "start another one" in said_after(operator, f"{address}retry/")
    take_turn()
    assert set(Plan.objects.values_list("status", flat=True)) == {"cancelled"}
    assert "has ended" not in said_after(operator, f"{address}cancel/")


@pytest.mark.parametrize("part", ["change", "live", "cancel", "retry"])
def test_nobody_but_operators_reaches_a_move(
    curator: Client, engines: Engines, settled: list[EnginePreference], part: str
) -> None:
    move = MassMove.objects.create(to_engine=engines.new)
    way = curator.post if part in ("cancel", "retry") else curator.get

    assert way(f"{MOVES}{move.pk}/{part}/").status_code == 403
    move.refresh_from_db()
    assert move.cancel_requested_at is None


@pytest.mark.parametrize("digits", [20, 5000])
def test_a_move_of_so_many_digits_is_not_there(operator: Client, digits: int) -> None:
    assert operator.get(f"{MOVES}{'9' * digits}/change/").status_code == 404


def said_after(client: Client, address: str) -> str:
    answer = client.post(address, follow=True)
    assert answer.status_code == 200
    return " ".join(str(message) for message in answer.context["messages"])


def test_a_reserved_engine_moves_nobody_who_may_not_have_it(
    operator: Client, engines: Engines, settled: list[EnginePreference]
) -> None:
    confirmed = {"engine": str(engines.reserved.pk), "confirmed": "yes"}

    act(operator, PREFERENCES, "move_people", settled[:1], **confirmed)
    take_turn()

    line = MassMoveLine.objects.get()
    assert line.refusal == "RESERVED-8B is reserved for others."
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

    assert said == "1 person is being moved to QWEN-4B."


@pytest.mark.parametrize("engine", ["", "x", "999999"])
def test_no_engine_moves_nobody(
    operator: Client, settled: list[EnginePreference], engine: str
) -> None:
    answer = ask(operator, settled, engine)

    assert answer.status_code == 200
    assert answer.context["engine"] is None
    assert not MassMove.objects.exists()


def test_a_curator_moves_nobody(curator: Client, settled: list[EnginePreference]) -> None:
    assert ask(curator, settled).status_code == 403
    assert not MassMove.objects.exists()
