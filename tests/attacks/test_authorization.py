"""Every route, by every role, with one's own thing, another's and a group's: the design's table, walked."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.core import serializers
from django.db import transaction

from engines.exceptions import TransferError
from engines.services.catalog import headers, resolving
from migrations_app.api.views import events
from tests.api.roles import client_of
from tests.attacks.plugin import Tally
from tests.attacks.walk import (
    BODIES,
    DECISIONS,
    FORBIDDEN,
    HIDDEN,
    READS_GROUPS,
    THROUGH,
    UNSIGNED,
    Route,
    routes,
)
from tests.attacks.world import GROUP, ROLES, SECRET, World

pytestmark = pytest.mark.attack


def find_no_hub(*_: object, **__: object) -> None:
    raise TransferError("No Hub answers.")


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """What asks the Hub is told at once that nothing answers there; a stream keeps our connection."""
    monkeypatch.setattr(events, "close_old_connections", lambda: None)
    # Nor does it hold a place: nobody reads it to its end.
    monkeypatch.setattr(events, "hold", lambda *_: None)
    monkeypatch.setattr(headers, "read_remote_model", find_no_hub)
    # Looking up the Hub's name alone takes minutes where there is no network.
    monkeypatch.setattr(resolving, "resolve_file", find_no_hub)


ROUTES = {str(route): route for route in routes()}
SIGN_IN = "post token-list"
"""Takes a password instead of a token."""
REFUSALS = {UNSIGNED: "not_authenticated", HIDDEN: "not_found", FORBIDDEN: "permission_denied"}


def everything() -> dict[str, str]:
    """All rows of all tables, as text."""
    return {
        model._meta.label: serializers.serialize("json", model._default_manager.order_by("pk"))
        for model in apps.get_models()
    }


def send(world: World, role: str, route: Route, values: dict[str, Any]) -> Any:
    body = None if route.method == "get" else BODIES.get(str(route), {})
    sender = getattr(client_of(world.person(role)), route.method)
    # Each request meets the same world; what a refusal left behind stays, and is found at the end.
    with transaction.atomic():
        answer = sender(route.address(values), body, format="json")
        transaction.set_rollback(answer.status_code not in (401, 403, 404))
    return answer


def check(answer: Any, expected: str, case: tuple[object, ...]) -> None:
    assert answer.status_code < 500 or answer.status_code in (502, 503), case
    if expected == THROUGH:
        # Whoever may is told of his body, the thing's state or of a host that does not answer.
        assert answer.status_code not in (401, 403, 404), case
        return
    assert str(answer.status_code) == expected, (case, answer.status_code, answer.content)
    assert answer.json()["code"] == REFUSALS[expected], case


def test_every_route_has_a_decision_and_every_decision_a_route() -> None:
    assert set(ROUTES) == set(DECISIONS)
    for name, route in ROUTES.items():
        has_group = any("group" in decision for decision in DECISIONS[name].values())
        assert has_group == (route.noun in READS_GROUPS and "(?P<" in route.pattern), name


@pytest.mark.parametrize("role", ROLES)
def test_every_role_gets_what_the_table_says(role: str, world: World, tally: Tally) -> None:
    before = everything()
    for name, route in ROUTES.items():
        if role == "anonymous":
            if name != SIGN_IN:
                values = world.own["user"].values(route.noun)
                check(send(world, role, route, values), UNSIGNED, (role, name))
                tally.add("authorization: requests")
            continue
        for whose, expected in DECISIONS[name][role].items():
            things = {"own": world.own[role], "other": world.own["other"], "group": world.group}
            values = things[whose].values(route.noun)
            answer = send(world, role, route, values)
            check(answer, expected, (role, name, whose))
            if whose == "other" and not answer.streaming:
                assert SECRET.encode() not in answer.content, (role, name)
            tally.add("authorization: requests")
    assert everything() == before
    tally.add("authorization: routes", len(ROUTES) if role == "user" else 0)
    tally.add("authorization: roles")


@pytest.mark.parametrize("role", ROLES[1:])
def test_a_group_that_one_left_is_a_strangers(role: str, world: World, tally: Tally) -> None:
    person = world.person(role)
    assert person is not None
    person.groups.remove(person.groups.get(name=GROUP))
    is_curator = role in ("curator", "administrator")

    for name, route in ROUTES.items():
        if route.noun in READS_GROUPS and "(?P<" in route.pattern:
            answer = send(world, role, route, world.group.values(route.noun))
            check(answer, THROUGH if is_curator else HIDDEN, (role, name))
            tally.add("authorization: requests")
