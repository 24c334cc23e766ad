"""Mass moves over REST: who, what it would mean, how far it is, each person's line."""

from __future__ import annotations

from typing import Any

from rest_framework.test import APIClient

from migrations_app.models import MassMove, Plan
from migrations_app.moves.turn import take_turn
from tests.api.roles import Engines, People, problem, use_engine

MOVES = "/api/v1/mass-moves"


def settle(people: People, engines: Engines) -> None:
    for person in (people.alice, people.bob):
        use_engine(person, engines.old)
    use_engine(people.curator, engines.new)


def test_a_mass_move_from_its_preview_to_its_end(
    operator: APIClient, people: People, engines: Engines, django_assert_max_num_queries: Any
) -> None:
    settle(people, engines)
    asked = {"people": ["alice", "bob", "carol"], "to_engine": "qwen-4b"}

    told = operator.post(f"{MOVES}/preview", asked, format="json").json()
    made = operator.post(
        MOVES, {**asked, "at_once": 1}, format="json", headers={"Idempotency-Key": "all"}
    )
    again = operator.post(
        MOVES, {**asked, "at_once": 1}, format="json", headers={"Idempotency-Key": "all"}
    )
    take_turn()

    assert (told["people"], told["moved"]) == (3, 2)
    assert told["refusals"] == [{"reason": "QWEN-4B answers already.", "people": 1}]
    assert (made.status_code, again.json()["id"]) == (202, made.json()["id"])
    assert MassMove.objects.count() == 1
    with django_assert_max_num_queries(12):
        shown = operator.get(made["Location"]).json()
    counts = {state: people for state, people in shown["people"].items() if people}
    assert counts == {"running": 1, "planned": 1, "refused": 1}
    assert shown["refusals"] == told["refusals"]
    lines = operator.get(f"{made['Location']}/people", {"state": "refused"}).json()["results"]
    assert [(line["person"], line["refusal"]) for line in lines] == [
        ("carol", "QWEN-4B answers already.")
    ]
    assert len(operator.get(f"{made['Location']}/people").json()["results"]) == 3
    assert operator.post(f"{made['Location']}/retry").json() == {"people": 1}
    ended = operator.post(f"{made['Location']}/cancel").json()
    assert ended["cancel_requested_at"] is not None
    problem(operator.post(f"{made['Location']}/retry"), 409, "conflict")
    listed = operator.get(MOVES).json()["results"]
    assert [(row["to_engine"], row["created_by"]) for row in listed] == [("qwen-4b", "oscar")]


def test_what_says_nobody_or_nonsense_moves_nobody(
    operator: APIClient, people: People, engines: Engines
) -> None:
    settle(people, engines)
    for body, status in (
        ({"to_engine": "qwen-4b"}, 400),
        ({"to_engine": "qwen-4b", "people": ["eve"]}, 404),
        ({"to_engine": "nothing", "everybody": True}, 404),
        ({"to_engine": "minilm", "everybody": True}, 400),
        ({"to_engine": "qwen-4b", "everybody": True, "at_once": 0}, 400),
        ({"to_engine": "qwen-4b", "everybody": True, "wrong": 1}, 400),
    ):
        assert operator.post(MOVES, body, format="json").status_code == status, body
    move = MassMove.objects.create(to_engine=engines.new)
    problem(operator.get(f"{MOVES}/{move.pk}/people", {"state": "x"}), 400, "invalid_request")

    assert not Plan.objects.exists()
    assert MassMove.objects.count() == 1
