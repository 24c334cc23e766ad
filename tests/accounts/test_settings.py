"""The pages below /settings/ and the notices: doors over what the API does, for their person only."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.core.mail import EmailMessage
from django.test import Client

from engines.models import ApiToken, Notice, NoticeChoice, NoticeKind
from engines.services.people.notices import Message, notify
from engines.services.people.tokens import create_token, find_owner
from engines.services.people.usage import add_usage, set_quota
from tests.accounts.browser import Browser, link_in, shown
from tests.api.roles import PASSWORD, People

PAGES = [
    "/settings/",
    "/settings/tokens/",
    "/settings/usage/",
    "/settings/preferences/",
    "/notices/",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/2fa/webauthn/",
]
TOKENS = "/settings/tokens/"
KEY = re.compile(r"sam_[A-Za-z0-9_-]{43}")


@pytest.fixture
def alice(people: People, browser: Browser) -> Browser:
    browser.sign_in("alice")
    return browser


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_for_who_is_signed_in(people: People, browser: Browser, page: str) -> None:
    outside = browser.client.get(page)
    assert outside.status_code == 302
    assert outside.headers["Location"].startswith("/accounts/login/?next=")

    browser.sign_in("alice")

    inside = browser.client.get(page)
    assert inside.status_code == 200
    assert " style=" not in inside.content.decode()


def make_token(browser: Browser, **fields: object) -> str:
    asked = {"name": "laptop", "scope": "read", "days": 30, **fields}
    answer = browser.client.post(TOKENS, asked, follow=True)
    if answer.redirect_chain and "reauthenticate" in answer.redirect_chain[0][0]:
        again = answer.redirect_chain[0][0]
        answer = browser.client.post(again, {"password": PASSWORD, "next": TOKENS}, follow=True)
    return shown(answer)


def test_a_token_is_made_after_the_password_and_shown_once(alice: Browser) -> None:
    asked = alice.client.post(TOKENS, {"name": "laptop", "scope": "read", "days": 30})
    assert asked.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not ApiToken.objects.exists()

    (key,) = set(KEY.findall(make_token(alice)))

    token = ApiToken.objects.get()
    assert (token.name, token.scope, find_owner(key)) == ("laptop", "read", token.user)
    assert key not in shown(alice.client.get(TOKENS))


def test_the_wrong_password_makes_none(alice: Browser) -> None:
    again = alice.client.post(TOKENS, {"name": "x", "scope": "all", "days": 0}).headers["Location"]

    alice.client.post(again, {"password": "wrong", "next": TOKENS})

    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("fields", [{"name": ""}, {"scope": "more"}, {"days": -1}, {"days": "x"}])
def test_a_token_that_cannot_be_is_refused(alice: Browser, fields: dict[str, object]) -> None:
    make_token(alice, **fields)

    assert not ApiToken.objects.exists()


def test_another_persons_token_is_not_there(people: People, alice: Browser) -> None:
    bobs = create_token(people.bob, "laptop").token

    assert alice.client.post(f"{TOKENS}{bobs.pk}/end/").status_code == 404
    assert ApiToken.objects.filter(pk=bobs.pk).exists()
    mine = create_token(people.alice, "laptop").token
    assert alice.client.post(f"{TOKENS}{mine.pk}/end/").status_code == 302
    assert list(ApiToken.objects.all()) == [bobs]


def test_usage_is_ones_own_beside_what_is_allowed(people: People, alice: Browser) -> None:
    add_usage(people.alice.pk, 300, 200)
    add_usage(people.bob.pk, 77_777, 0)
    set_quota(people.alice, 1000)

    answer = alice.client.get("/settings/usage/")

    day = answer.context["today"]
    assert (day.tokens, day.requests, day.percent) == (500, 1, 50.0)
    assert len(answer.context["days"]) == 14
    assert answer.context["total"] == 500
    assert answer.context["quota"] == 1000


def test_preferences_are_kept(people: People, alice: Browser) -> None:
    alice.client.post(
        "/settings/preferences/",
        {"page": ["plan_done", "plan_failed", "operator_needed"], "email": ["plan_failed"]},
    )

    held = {c.kind: (c.on_page, c.by_email) for c in NoticeChoice.objects.all()}
    assert held["plan_done"] == (True, False)
    assert held["plan_failed"] == (True, True)
    assert held["plan_started"] == (False, False)
    assert "operator_needed" not in held


def test_the_name_is_kept_and_escaped(alice: Browser) -> None:
    alice.client.post("/settings/", {"first_name": "<b>Al</b>", "last_name": "Ice"})

    assert User.objects.get(username="alice").get_full_name() == "<b>Al</b> Ice"
    assert "<b>Al</b>" not in alice.client.get("/settings/").content.decode()
    alice.client.post("/settings/", {"first_name": "x" * 151, "last_name": ""})
    assert User.objects.get(username="alice").first_name == "<b>Al</b>"


def test_sessions_are_ended_on_the_page(people: People, alice: Browser) -> None:
    other, bob = Browser(Client()), Browser(Client())
    other.sign_in("alice")
    bob.sign_in("bob")
    rows = {row.session_key: row for row in alice.client.get("/settings/").context["sessions"]}
    theirs = rows[other.client.session.session_key]

    assert bob.client.post("/settings/sessions/", {"session": theirs.pk}).status_code == 404
    assert bob.client.post("/settings/sessions/", {"session": "x"}).status_code == 400
    assert other.reads_me()
    alice.client.post("/settings/sessions/", {})

    assert (alice.reads_me(), other.reads_me(), bob.reads_me()) == (True, False, True)


def test_the_bell_counts_and_a_notice_leads_on(people: People, alice: Browser) -> None:
    notify([people.alice], Message(NoticeKind.PLAN_DONE, "<i>Done</i>", "Text", "/settings/"))
    notify([people.bob], Message(NoticeKind.PLAN_DONE, "Another's"))
    mine, bobs = Notice.objects.get(user=people.alice), Notice.objects.get(user=people.bob)

    page = alice.client.get("/notices/").content.decode()
    assert "Notices, 1 not read" in page
    assert "<i>Done</i>" not in page
    assert "Another" not in page
    assert alice.client.post(f"/notices/{bobs.pk}/").status_code == 404
    assert alice.client.post(f"/notices/{mine.pk}/").headers["Location"] == "/settings/"
    assert "not read" not in alice.client.get("/notices/").content.decode()
    bobs.refresh_from_db()
    assert bobs.read_at is None


def test_a_new_address_holds_once_its_link_was_opened(
    people: People, alice: Browser, mailoutbox: list[EmailMessage]
) -> None:
    page, wanted = "/accounts/email/", {"email": "new@example.org", "action_add": "1"}
    again = alice.client.post(page, wanted).headers["Location"]
    assert again.startswith("/accounts/reauthenticate/")
    assert not mailoutbox
    alice.client.post(again, {"password": PASSWORD, "next": page})

    assert User.objects.get(username="alice").email == "alice@example.org"
    (sent,) = [m for m in mailoutbox if "confirm-email" in str(m.body)]
    assert sent.to == ["new@example.org"]
    Client().post(link_in(sent))
    assert User.objects.get(username="alice").email == "new@example.org"


def test_an_address_of_another_person_is_not_taken(
    people: People, alice: Browser, mailoutbox: list[EmailMessage]
) -> None:
    page = "/accounts/email/"
    wanted = {"email": "bob@example.org", "action_add": "1"}
    again = alice.client.post(page, wanted).headers["Location"]
    alice.client.post(again, {"password": PASSWORD, "next": page})

    assert not [m for m in mailoutbox if "confirm-email" in str(m.body)]
    assert User.objects.get(username="alice").email == "alice@example.org"
