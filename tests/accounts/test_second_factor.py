"""The second factor: at the sign-in, at the API, required of some, and never walked around."""

from __future__ import annotations

import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from engines.models import ApiToken
from migrations_app.accounts.middleware import RequireSecondFactor
from tests.accounts.browser import Browser, shown
from tests.api.roles import PASSWORD, People, client_of, problem

CODES = "/accounts/2fa/authenticate/"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(step: int = 0) -> str:
    return format_hotp_value(hotp_value(SECRET, int(time.time()) // 30 + step))


@pytest.fixture
def secured(people: People) -> User:
    """Alice with a telephone and recovery codes."""
    TOTP.activate(people.alice, SECRET)
    RecoveryCodes.activate(people.alice)
    return people.alice


def ask_token(**fields: str) -> Any:
    asked = {"username": "alice", "password": PASSWORD, **fields}
    return client_of(None).post("/api/v1/tokens", asked, format="json")


def test_a_password_alone_opens_nothing(secured: User, browser: Browser) -> None:
    answer = browser.sign_in("alice")

    assert answer.headers["Location"] == CODES
    assert not browser.reads_me()
    for page in ("/", "/admin/", "/api/v1/tokens"):
        assert browser.client.get(page).status_code in (302, 401)
    browser.client.post(CODES, {"code": "000000"})
    assert not browser.reads_me()
    assert browser.client.post(CODES, {"code": code()}).headers["Location"] == "/"
    assert browser.reads_me()


def test_a_code_is_good_once(secured: User) -> None:
    one, two = Browser(Client()), Browser(Client())
    used = code()
    for browser in (one, two):
        browser.sign_in("alice")
        browser.client.post(CODES, {"code": used})

    assert one.reads_me()
    assert not two.reads_me()


def test_a_recovery_code_is_good_once(secured: User) -> None:
    held = Authenticator.objects.get(user=secured, type=Authenticator.Type.RECOVERY_CODES)
    recovery = held.wrap().get_unused_codes()[0]
    one, two = Browser(Client()), Browser(Client())
    for browser in (one, two):
        browser.sign_in("alice")
        browser.client.post(CODES, {"code": recovery})

    assert one.reads_me()
    assert not two.reads_me()


def test_the_admins_login_does_not_walk_around_it(secured: User, browser: Browser) -> None:
    User.objects.filter(pk=secured.pk).update(is_staff=True, is_superuser=True)

    browser.client.post("/admin/login/", {"username": "alice", "password": PASSWORD})

    assert not browser.is_signed_in()


def test_the_api_asks_for_the_code_too(secured: User) -> None:
    problem(ask_token(), 401, "second_factor")
    problem(ask_token(code="000000"), 401, "second_factor")
    problem(ask_token(password="wrong", code=code()), 401, "wrong_credentials")
    assert not ApiToken.objects.exists()

    assert ask_token(code=code()).status_code == 201


def test_codes_are_guessed_no_faster_than_passwords(secured: User, browser: Browser) -> None:
    browser.sign_in("alice")
    for _ in range(5):
        browser.client.post(CODES, {"code": "000000"})
        ask_token(code="000000")

    answer = browser.client.post(CODES, {"code": code()})

    assert "Too many failed sign-ins" in shown(answer)
    assert not browser.reads_me()
    problem(ask_token(code=code(1)), 429, "locked_out")


def test_the_secret_cannot_be_read_in_the_database(secured: User, settings: Settings) -> None:
    held = Authenticator.objects.get(user=secured, type=Authenticator.Type.TOTP)

    assert SECRET not in str(held.data)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "a new key"
    assert held.wrap().validate_code(code())


def test_it_is_set_up_on_its_page(people: People, browser: Browser) -> None:
    browser.sign_in("alice")
    page = browser.client.get("/accounts/2fa/totp/activate/", follow=True)
    if "reauthenticate" in page.redirect_chain[-1][0]:
        again = page.redirect_chain[-1][0]
        page = browser.client.post(again, {"password": PASSWORD}, follow=True)
    secret = page.context["form"].secret
    right = format_hotp_value(hotp_value(secret, int(time.time()) // 30))

    wrong = browser.client.post("/accounts/2fa/totp/activate/", {"code": "000000"})
    assert wrong.status_code == 200
    assert not Authenticator.objects.exists()
    browser.client.post("/accounts/2fa/totp/activate/", {"code": right})

    kinds = set(Authenticator.objects.values_list("user__username", "type"))
    assert kinds == {("alice", "totp"), ("alice", "recovery_codes")}


@pytest.mark.parametrize(
    ("asked", "staff", "refused"),
    [
        ("nobody", True, False),
        ("staff", True, True),
        ("staff", False, False),
        ("everybody", False, True),
    ],
)
def test_it_may_be_required(
    people: People, settings: Settings, asked: str, staff: bool, refused: bool
) -> None:
    settings.SAM_REQUIRE_SECOND_FACTOR = asked
    if asked != "nobody":
        path = f"{RequireSecondFactor.__module__}.{RequireSecondFactor.__name__}"
        settings.MIDDLEWARE = [*(m for m in settings.MIDDLEWARE if m != path), path]
    User.objects.filter(username="alice").update(is_staff=staff)
    browser = Browser(Client())
    browser.sign_in("alice")

    me = browser.client.get("/api/v1/me")
    assert (me.status_code == 403) == refused
    if refused:
        problem(me, 403, "second_factor")
        page = browser.client.get("/admin/")
        assert page.headers["Location"] == "/accounts/2fa/totp/activate/"
        problem(ask_token(), 401, "second_factor")
        TOTP.activate(people.alice, SECRET)
        assert browser.client.get("/api/v1/me").status_code == 200


def test_who_has_a_passkey_only_sends_a_recovery_code_to_the_api(people: People) -> None:
    """A passkey speaks to browsers; at the API's door there is none to ask."""
    passkey = {"name": "Telephone", "credential": {}}
    Authenticator.objects.create(user=people.alice, type=Authenticator.Type.WEBAUTHN, data=passkey)
    codes = RecoveryCodes.activate(people.alice).get_unused_codes()

    problem(ask_token(), 401, "second_factor")
    problem(ask_token(code="000000"), 401, "second_factor")
    assert ask_token(code=codes[0]).status_code == 201
