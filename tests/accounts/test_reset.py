"""A forgotten password: the same answer for everybody, a link of our own origin, once."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from pytest_django.fixtures import Settings

from engines.models import ApiToken
from engines.services.people.tokens import create_token
from tests.accounts.browser import Browser, link_in, shown
from tests.api.roles import PASSWORD, People

RESET = "/accounts/password/reset/"
NEW = "a brand new password"


def ask(email: str, **headers: str) -> str:
    client = Client()
    answer = client.post(RESET, {"email": email}, headers=headers, follow=True)
    assert answer.status_code == 200
    return shown(answer)


def choose(link: str, password: str = NEW) -> Browser:
    browser = Browser(Client())
    page = browser.client.get(link, follow=True)
    form = page.redirect_chain[-1][0] if page.redirect_chain else link
    browser.client.post(form, {"password1": password, "password2": password})
    return browser


def test_the_answer_does_not_tell_who_is_known(people: People) -> None:
    known, unknown = ask("alice@example.org"), ask("nobody@example.org")

    assert known.replace("alice", "nobody") == unknown
    assert [m.to for m in mail.outbox] == [["alice@example.org"], ["nobody@example.org"]]
    assert "password/reset/key" in str(mail.outbox[0].body)
    assert "password/reset/key" not in str(mail.outbox[1].body)


def test_links_begin_with_the_configured_origin(people: People, settings: Settings) -> None:
    settings.SAM_ORIGIN = "https://sam.example.org"
    settings.ALLOWED_HOSTS = ["*"]

    ask("alice@example.org", host="evil.example")
    ask("nobody@example.org", host="evil.example")

    for message in mail.outbox:
        assert "evil.example" not in str(message.message())
    assert "https://sam.example.org/accounts/password/reset/key/" in str(mail.outbox[0].body)


def test_a_link_works_once_and_ends_sessions_and_tokens(people: People) -> None:
    open_session = Browser(Client())
    open_session.sign_in("alice")
    create_token(people.alice, "laptop")
    ask("alice@example.org")
    link = link_in(mail.outbox[0])

    choose(link)

    assert User.objects.get(username="alice").check_password(NEW)
    assert not open_session.reads_me()
    assert not ApiToken.objects.exists()
    assert not choose(link, "and yet another").is_signed_in()
    assert User.objects.get(username="alice").check_password(NEW)


@pytest.mark.parametrize("password", ["short", "12345678901", "password1", "alice"])
def test_a_weak_password_changes_nothing(people: People, password: str) -> None:
    ask("alice@example.org")

    choose(link_in(mail.outbox[0]), password)

    assert User.objects.get(username="alice").check_password(PASSWORD)


def test_a_link_of_an_earlier_password_is_too_old(people: People) -> None:
    ask("alice@example.org")
    people.alice.set_password("set meanwhile 1")
    people.alice.save()

    choose(link_in(mail.outbox[0]))

    assert User.objects.get(username="alice").check_password("set meanwhile 1")


def test_the_deactivated_get_no_link(people: People) -> None:
    User.objects.filter(username="alice").update(is_active=False)

    ask("alice@example.org")

    assert not [m for m in mail.outbox if "password/reset/key" in str(m.body)]


def test_asking_is_throttled_for_all_processes(people: People) -> None:
    client = Client()
    statuses = [client.post(RESET, {"email": "alice@example.org"}).status_code for _ in range(7)]

    assert statuses[:5] == [302] * 5
    assert statuses[5:] == [429] * 2
    assert len(mail.outbox) == 5


def test_a_mail_server_that_is_away_is_no_answer(people: People, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    assert ask("alice@example.org").replace("alice", "nobody") == ask("nobody@example.org")


def test_without_a_mail_server_no_link_is_promised(people: People, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    alice = Browser(Client())
    alice.sign_in("alice")

    forgotten = Client().get(RESET).content.decode()
    address = alice.client.get("/accounts/email/").content.decode()
    notices = alice.client.get("/settings/preferences/").content.decode()

    assert "An administrator can set a new password for you" in forgotten
    assert "manage.py changepassword" in forgotten
    assert "An administrator can give you one" in address
    for page in (forgotten, address):
        assert "We send" not in page
        assert 'name="email"' not in page
    assert "nothing is mailed for now" in notices
