"""Signing in: by name or address, to a safe place, and telling nobody who is known."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from engines.models import ApiToken
from engines.services.people.tokens import create_token
from tests.accounts.browser import LOGIN, Browser, shown
from tests.api.roles import PASSWORD, People, client_of


@pytest.mark.parametrize("login", ["alice", "alice@example.org", "Alice@Example.org"])
def test_an_ordinary_person_lands_on_home(people: People, browser: Browser, login: str) -> None:
    answer = browser.sign_in(login)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert browser.reads_me()


@pytest.mark.parametrize(
    ("asked", "leads"),
    [
        ("/engines/?q=a", "/engines/?q=a"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("http://testserver.evil.example/", "/"),
    ],
)
def test_a_sign_in_leads_to_this_host_only(
    people: People, browser: Browser, asked: str, leads: str
) -> None:
    assert browser.sign_in("alice", next=asked).headers["Location"] == leads


def test_known_and_unknown_are_told_the_same(people: People) -> None:
    User.objects.filter(username="bob").update(is_active=False)

    told = {
        shown(Browser(Client()).sign_in(login, password)).replace(login, "X")
        for login, password in [
            ("alice", "wrong"),
            ("nobody", "wrong"),
            ("alice@example.org", "wrong"),
            ("nobody@example.org", "wrong"),
            ("bob", PASSWORD),
        ]
    }

    assert len(told) == 1
    assert not Session.objects.exists()


def test_an_address_of_two_people_is_nobodys(people: People, browser: Browser) -> None:
    User.objects.filter(username="bob").update(email="alice@example.org")

    browser.sign_in("alice@example.org")

    assert not browser.is_signed_in()
    browser.sign_in("alice")
    assert browser.is_signed_in()


def test_nobody_signs_up(people: People, browser: Browser) -> None:
    before = User.objects.count()
    wanted = {"username": "eve", "email": "eve@example.org", "password1": "a long password"}

    answer = browser.client.post("/accounts/signup/", wanted)

    assert User.objects.count() == before
    assert not browser.is_signed_in()
    assert answer.status_code == 200


def test_signing_out_ends_the_session(people: People, browser: Browser) -> None:
    browser.sign_in("alice")

    assert browser.client.get("/accounts/logout/").status_code == 200
    assert browser.reads_me()
    browser.client.post("/accounts/logout/")

    assert not browser.reads_me()
    assert not Session.objects.exists()


def test_a_new_password_ends_other_sessions_and_all_tokens(people: People) -> None:
    here, there = Browser(Client()), Browser(Client())
    for one in (here, there):
        one.sign_in("alice")
    create_token(people.alice, "laptop")

    changed = here.client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": "another password", "password2": "another password"},
    )

    assert changed.status_code == 302
    assert here.reads_me()
    assert not there.reads_me()
    assert not ApiToken.objects.exists()


def test_the_old_password_is_guessed_no_faster_at_an_open_session(
    people: People, browser: Browser
) -> None:
    browser.sign_in("alice")
    before = User.objects.get(username="alice").password
    wrong = {"oldpassword": "wrong", "password1": "another one!", "password2": "another one!"}
    for _ in range(5):
        browser.client.post("/accounts/password/change/", wrong)

    asked = {"username": "alice", "password": "wrong"}
    for _ in range(5):
        client_of(None).post("/api/v1/tokens", asked, format="json")

    told = client_of(None).post("/api/v1/tokens", {**asked, "password": PASSWORD}, format="json")
    assert told.status_code == 429
    assert User.objects.get(username="alice").password == before


def test_sessions_are_listed_and_ended_by_their_person(people: People) -> None:
    here, there, bobs = Browser(Client()), Browser(Client()), Browser(Client())
    here.sign_in("alice")
    there.client.post(
        LOGIN,
        {"login": "alice", "password": PASSWORD},
        headers={"User-Agent": "Phone/1"},
        REMOTE_ADDR="2001:db8::7",
    )
    bobs.sign_in("bob")
    listed = here.client.get("/api/v1/sessions").json()
    phone = next(row for row in listed if row["user_agent"] == "Phone/1")

    assert len(listed) == 2
    assert phone["ip"] == "2001:db8::"
    assert bobs.client.delete(f"/api/v1/sessions/{phone['id']}").status_code == 404
    assert there.reads_me()
    assert here.client.delete(f"/api/v1/sessions/{phone['id']}").status_code == 204
    assert (here.reads_me(), there.reads_me(), bobs.reads_me()) == (True, False, True)
