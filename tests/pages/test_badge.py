"""The badge: for one person, without cookies, until the password changes."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from django.contrib.auth.models import User
from django.test import Client

from migrations_app.pages.badge import badge_address
from tests.api.roles import Engines, People, make_default
from tests.people.test_indicator import put_on_host


@pytest.fixture
def alice(people: People, engines: Engines) -> User:
    make_default(engines.old)
    put_on_host(engines, engines.old)
    return people.alice


def test_its_address_is_enough(alice: User) -> None:
    answer = Client().get(badge_address(alice))

    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/svg+xml"
    assert answer["Cache-Control"] == "no-store"
    picture = ElementTree.fromstring(answer.content)  # noqa: S314 - our own
    assert picture.find("{*}title").text == "SAM: LLAMA-8B answers you."  # type: ignore[union-attr]
    assert b"style=" not in answer.content


def test_what_an_administrator_called_an_engine_stays_text(alice: User, engines: Engines) -> None:
    engines.old.display_name = "<script>&\"'</script>"
    engines.old.save()

    answer = Client().get(badge_address(alice))

    assert b"<script>" not in answer.content
    ElementTree.fromstring(answer.content)  # noqa: S314 - our own


@pytest.mark.parametrize("key", ["", "1", "1:x", "x:1", "9" * 30 + ":x", "1:" + "x" * 500, "é:x"])
def test_a_made_up_address_is_not_there(alice: User, key: str) -> None:
    assert Client().get(f"/badge/{key}/engine.svg").status_code == 404


def test_anothers_number_under_ones_own_key_is_not_there(alice: User, people: People) -> None:
    mine = badge_address(alice)

    forged = mine.replace(f"/{alice.pk}:", f"/{people.bob.pk}:")

    assert forged != mine
    assert Client().get(forged).status_code == 404


def test_a_new_password_ends_it(alice: User) -> None:
    before = badge_address(alice)
    alice.set_password("another long password")
    alice.save()

    assert Client().get(before).status_code == 404
    assert Client().get(badge_address(alice)).status_code == 200


def test_who_leaves_has_none(alice: User) -> None:
    before = badge_address(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert Client().get(before).status_code == 404


def test_ones_own_needs_a_session(alice: User) -> None:
    client = Client()
    assert client.get("/badge/engine.svg").status_code == 404

    client.force_login(alice)

    assert b"LLAMA-8B" in client.get("/badge/engine.svg").content
