"""The organisation's own sign-in: known people, invited ones, and nobody else."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group, User
from django.test import Client
from pytest_django.fixtures import Settings

from engines.services.people.invitations import invite_person
from migrations_app.people import deactivate_person
from samproject.configuration.sign_in import OIDC_ID, sign_in_settings
from tests.accounts.browser import LOGIN, Browser, shown
from tests.accounts.oidc_provider import CLIENT, SECRET, Provider, running_provider
from tests.api.roles import People

BEGIN = f"/accounts/oidc/{OIDC_ID}/login/"
ALICE = {"sub": "17", "email": "alice@example.org", "email_verified": True}
EVE = {
    "sub": "99",
    "email": "eve@example.org",
    "email_verified": True,
    "preferred_username": "eve",
    "name": "Eve Example",
}


@pytest.fixture
def provider(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with running_provider() as running:
        monkeypatch.setenv("SAM_OIDC_ISSUER", running.issuer)
        monkeypatch.setenv("SAM_OIDC_CLIENT_ID", CLIENT)
        monkeypatch.setenv("SAM_OIDC_CLIENT_SECRET", SECRET)
        monkeypatch.setenv("SAM_OIDC_NAME", "Example Inc")
        settings.SOCIALACCOUNT_PROVIDERS = sign_in_settings()["SOCIALACCOUNT_PROVIDERS"]
        yield running


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Follow nothing: the test's browser goes back by itself."""


def come_by_provider(browser: Browser, **query: str) -> Any:
    """Go to the provider and back, as a browser does; the last answer of ours."""
    away = browser.client.get(BEGIN, query)
    assert away.status_code == 302, away.content
    try:
        urllib.request.build_opener(_StayHere).open(away.headers["Location"])
    except HTTPError as answer:
        back = urlsplit(answer.headers["Location"])
    return browser.client.get(f"{back.path}?{back.query}")


def test_the_sign_in_offers_it_by_name(provider: Provider, db: None) -> None:
    page = shown(Client().get(LOGIN))

    assert "Sign in with Example Inc" in page
    assert BEGIN in page


def test_a_known_person_comes_in_by_the_verified_address(
    provider: Provider, people: People, browser: Browser
) -> None:
    provider.claims = ALICE
    before = User.objects.count()

    answer = come_by_provider(browser, next="/engines/")

    assert answer.headers["Location"] == "/engines/"
    assert browser.client.get("/api/v1/me").json()["username"] == "alice"
    assert User.objects.count() == before
    User.objects.filter(username="alice").update(email="changed@example.org")
    again = Browser(Client())
    come_by_provider(again)
    assert again.client.get("/api/v1/me").json()["username"] == "alice"


@pytest.mark.parametrize(
    "claims",
    [EVE, {**ALICE, "email_verified": False}, {**ALICE, "email_verified": "no"}, {"sub": "17"}],
)
def test_whom_sam_does_not_know_stays_outside(
    provider: Provider, people: People, browser: Browser, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    before = User.objects.count()

    answer = come_by_provider(browser)

    assert "invitation" in shown(answer)
    assert not browser.is_signed_in()
    assert User.objects.count() == before
    assert not SocialAccount.objects.exists()


def test_an_invited_person_comes_in_with_groups(
    provider: Provider, people: People, browser: Browser
) -> None:
    Group.objects.create(name="research")
    invite_person("eve@example.org", groups=["research"], who="adam")
    provider.claims = EVE

    come_by_provider(browser)

    assert browser.reads_me()
    eve = User.objects.get(email="eve@example.org")
    assert (eve.username, eve.has_usable_password()) == ("eve", False)
    assert [group.name for group in eve.groups.all()] == ["research"]


def test_an_invitation_needs_the_address_to_be_verified(
    provider: Provider, people: People, browser: Browser
) -> None:
    invite_person("eve@example.org", who="adam")
    provider.claims = {**EVE, "email_verified": False}

    come_by_provider(browser)

    assert not browser.is_signed_in()
    assert not User.objects.filter(email="eve@example.org").exists()


def test_an_installation_may_let_everybody_in(
    provider: Provider, people: People, browser: Browser, settings: Settings
) -> None:
    settings.SAM_OIDC_SIGN_UP = True
    provider.claims = EVE

    come_by_provider(browser)

    assert browser.reads_me()
    assert not User.objects.get(username="eve").is_staff


@pytest.mark.parametrize("wrong", ["audience", "issuer_told"])
def test_a_token_for_somebody_else_opens_nothing(
    provider: Provider, people: People, browser: Browser, wrong: str
) -> None:
    provider.claims = ALICE
    setattr(provider, wrong, "https://another.example")

    come_by_provider(browser)

    assert provider.exchanged == 1
    assert not browser.is_signed_in()


def test_a_made_up_answer_opens_nothing(
    provider: Provider, people: People, browser: Browser
) -> None:
    provider.claims = ALICE

    answer = browser.client.get(f"{BEGIN}callback/", {"code": "stolen", "state": "made up"})

    assert provider.exchanged == 0
    assert not browser.is_signed_in()
    assert answer.status_code in (200, 401)


def test_who_refuses_there_stays_outside(
    provider: Provider, people: People, browser: Browser
) -> None:
    provider.refuses = True

    come_by_provider(browser)

    assert not browser.is_signed_in()


def test_the_deactivated_stay_outside(provider: Provider, people: People, browser: Browser) -> None:
    deactivate_person(people.alice, who="adam")
    provider.claims = ALICE

    come_by_provider(browser)

    assert not browser.is_signed_in()


def test_the_second_factor_is_asked_all_the_same(
    provider: Provider, people: People, browser: Browser
) -> None:
    TOTP.activate(people.alice, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    provider.claims = ALICE

    answer = come_by_provider(browser)

    assert answer.headers["Location"] == "/accounts/2fa/authenticate/"
    assert not browser.is_signed_in()


def test_no_link_ties_a_stranger_to_whoever_is_signed_in(
    provider: Provider, people: People, browser: Browser
) -> None:
    browser.sign_in("alice")
    provider.claims = EVE

    answer = come_by_provider(browser, process="connect")

    assert answer.status_code == 401
    assert not SocialAccount.objects.exists()


def test_a_provider_that_is_away_is_said(
    people: People, browser: Browser, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_OIDC_ISSUER", "http://127.0.0.1:1")
    monkeypatch.setenv("SAM_OIDC_CLIENT_ID", CLIENT)
    settings.SOCIALACCOUNT_PROVIDERS = sign_in_settings()["SOCIALACCOUNT_PROVIDERS"]

    answer = browser.client.get(BEGIN)

    assert answer.status_code == 503
    assert "did not work" in shown(answer)
