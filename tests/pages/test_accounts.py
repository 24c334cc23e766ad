"""Signing in, being invited, and one's own settings, in a browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from engines.models import NoticeKind, TokenUsage
from engines.services.people.invitations import invite_person
from engines.services.people.notices import Message, notify
from engines.services.people.tokens import create_token
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PHONE

pytestmark = pytest.mark.browser

PASSWORD = "a long password"
PAGES = {
    "account": "/settings/",
    "tokens": "/settings/tokens/",
    "usage": "/settings/usage/",
    "preferences": "/settings/preferences/",
    "notices": "/notices/",
    "second-factor": "/accounts/2fa/",
    "password": "/accounts/password/change/",
    "email": "/accounts/email/",
}
OUTSIDE = {"sign-in": "/accounts/login/", "reset": "/accounts/password/reset/"}


@pytest.fixture
def ada(transactional_db: None) -> User:
    """Ada with tokens, a month of use and notices."""
    user = User.objects.create_user(
        "ada", "ada@example.org", PASSWORD, first_name="Ada", last_name="Lovelace"
    )
    create_token(user, "laptop", days=30)
    create_token(user, "nightly report")
    today = timezone.now().date()
    for back in range(12):
        TokenUsage.objects.create(
            user=user, day=today - timedelta(days=back), tokens_in=900 * back, tokens_out=400
        )
    text = "The move is done. It can be taken back until 2026-12-13."
    notify([user], Message(NoticeKind.PLAN_DONE, "You are on Qwen 3 4B now", text, "/settings/"))
    notify([user], Message(NoticeKind.PLAN_STARTED, "The move to Qwen 3 4B has begun"))
    return user


def test_sign_in_leads_home(ada: User, open_context: Callable[..., BrowserContext]) -> None:
    page = open_context().new_page()

    page.goto("/")
    page.get_by_label("User name or e-mail address").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("is wrong")
    page.get_by_label("User name or e-mail address").fill("ada@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_contain_text("Ada")
    page.get_by_role("link", name="Notices, 2 not read").click()
    expect(page.get_by_text("You are on Qwen 3 4B now")).to_be_visible()


def test_an_invitation_becomes_a_person(
    transactional_db: None,
    open_context: Callable[..., BrowserContext],
    screenshot: Screenshot,
) -> None:
    key = invite_person("eve@example.org", who="adam").key
    page = open_context(viewport=PHONE).new_page()

    page.goto(f"/join/?key={key}")
    assert_fits(page)
    screenshot(page, "join")
    assert key not in page.url
    page.get_by_label("User name").fill("eve")
    page.get_by_label("Password", exact=True).fill("chosen by eve herself")
    page.get_by_label("Password, again").fill("chosen by eve herself")
    page.get_by_role("button", name="Join").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("eve")
    assert User.objects.get(username="eve").email == "eve@example.org"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_and_fit_a_phone(
    ada: User, signed_in_page: Callable[..., Page], screenshot: Screenshot, scheme: str
) -> None:
    wide = signed_in_page(ada, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    phone = signed_in_page(ada, viewport=PHONE, color_scheme=scheme, reduced_motion="reduce")

    for name, address in PAGES.items():
        wide.goto(address)
        assert_accessible(wide)
        screenshot(wide, f"{name}-{scheme}")
        phone.goto(address)
        assert_fits(phone)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_outside_is_accessible_and_fits_a_phone(
    ada: User,
    open_context: Callable[..., BrowserContext],
    screenshot: Screenshot,
    scheme: str,
) -> None:
    wide = open_context(color_scheme=scheme, bypass_csp=True).new_page()
    phone = open_context(viewport=PHONE, color_scheme=scheme).new_page()

    for name, address in OUTSIDE.items():
        wide.goto(address)
        assert_accessible(wide)
        screenshot(wide, f"{name}-{scheme}")
        phone.goto(address)
        assert_fits(phone)


def test_a_long_address_that_is_invited_fits_a_phone(
    ada: User, open_context: Callable[..., BrowserContext]
) -> None:
    address = f"{'somebody.who.was.invited' * 2}@{'organisation-' * 3}name.example.org"
    made = invite_person(address, who="x" * 150)
    phone = open_context(viewport=PHONE).new_page()

    phone.goto(f"/join/?key={made.key}")

    expect(phone.get_by_text(address)).to_be_visible()
    assert_fits(phone)


def test_a_token_is_made_in_the_browser(
    ada: User, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context().new_page()
    page.goto("/accounts/login/?next=/settings/tokens/")
    page.get_by_label("User name or e-mail address").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")

    page.get_by_label("Name").fill("editor")
    page.get_by_role("button", name="Make it").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()

    expect(page.get_by_text("Your new token “editor”")).to_be_visible()
    expect(page.locator("#new-token")).to_contain_text("sam_")
