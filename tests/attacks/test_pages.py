"""Every page that is not an API, by every role, with one's own thing and another's: found by the addresses.

A page that comes later is walked by being routed: nobody sees an error of ours, a stranger is sent to
sign in, and what is another's is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.attacks.plugin import Tally
from tests.attacks.world import ROLES, SECRET, World

pytestmark = pytest.mark.attack

APIS = ("api/", "v1/", "^api")
PUBLIC = {"healthz"}
"""Addresses that a stranger is answered at; those for signing in are recognised by their name."""
SIGN_IN = ("accounts/", "admin/login", "admin/jsi18n", "i18n/", "styleguide")
Page = tuple[str, URLPattern]


def pages(patterns: list[Any] | None = None, prefix: str = "") -> Iterator[Page]:
    """Yield the route and pattern of every address outside the APIs."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(each.pattern)
        if route.startswith(APIS):
            continue
        if isinstance(each, URLResolver):
            yield from pages(each.url_patterns, route)
        else:
            yield route, each


ALL = list(pages())


def address(route: str, pattern: URLPattern, things: dict[str, Any]) -> str | None:
    """The page with a thing's key for its variable; None for one that has variables of another kind."""
    filled = route
    for name, converter in pattern.pattern.converters.items():
        noun = next((noun for noun in things if noun.replace("-", "") in flat(route)), "")
        value = things.get(name) or things.get(noun, 1)
        kind = type(converter).__name__.removesuffix("Converter").lower()
        filled = filled.replace(f"<{kind}:{name}>", str(value)).replace(f"<{name}>", str(value))
    filled = filled.replace("^", "").replace("$", "").replace("\\Z", "")
    return None if any(sign in filled for sign in "<>()[") else f"/{filled}"


def flat(route: str) -> str:
    return route.replace("-", "").replace("_", "").lower()


def signed_in(person: User | None) -> Client:
    client = Client(raise_request_exception=False)
    if person is not None:
        client.force_login(person)
    return client


@pytest.mark.parametrize("role", ROLES)
def test_no_page_breaks_and_none_shows_what_is_anothers(
    role: str, world: World, tally: Tally
) -> None:
    client = signed_in(world.person(role))
    for whose in ("own", "other"):
        owner = "other" if whose == "other" or role == "anonymous" else role
        things = world.own[owner].keys
        for route, pattern in ALL:
            place = address(route, pattern, things)
            if place is None:
                continue
            for method in ("get", "post"):
                answer = getattr(client, method)(place)
                case = (role, whose, method, place, answer.status_code)
                assert answer.status_code < 500, case
                tally.add("pages: requests")
                if role == "anonymous" and not is_open(route):
                    assert answer.status_code in (301, 302, 401, 403, 404, 405), case
                if whose == "other" and not answer.streaming:
                    assert SECRET.encode() not in answer.content, case
    tally.add("pages: addresses", len(ALL) if role == "user" else 0)


def is_open(route: str) -> bool:
    return route in PUBLIC or route.startswith(SIGN_IN)


def test_the_walk_reaches_the_admin_and_the_home_page() -> None:
    reached = {address(route, pattern, {}) for route, pattern in ALL}

    assert {"/", "/admin/", "/healthz"} <= reached
    assert len(reached - {None}) > 50
