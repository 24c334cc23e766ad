"""Passkeys with Chromium's own virtual key: added, named, used to come in, asked beside the password, removed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from playwright.sync_api import BrowserContext, CDPSession, Page, expect

from tests.openai_api.web import WebProcess
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PHONE

pytestmark = pytest.mark.browser

PASSWORD = "a long password"
KEYS = "/accounts/2fa/webauthn/"
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def ada(transactional_db: None) -> User:
    return User.objects.create_user("ada", "ada@example.org", PASSWORD)


@pytest.fixture
def browser(open_context: Callable[..., BrowserContext], web: WebProcess) -> BrowserContext:
    """A browser at the name of the site: a passkey belongs to a name, never to a number."""
    by_name = web.address.replace("127.0.0.1", "localhost")
    return open_context(base_url=by_name, bypass_csp=True, reduced_motion="reduce")


class Device:
    """What keeps passkeys: the telephone or computer that the browser runs on."""

    def __init__(self, page: Page) -> None:
        self.session: CDPSession = page.context.new_cdp_session(page)
        self.session.send("WebAuthn.enable")
        made = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        self.id = made["authenticatorId"]

    def recognises(self, *, its_owner: bool) -> None:
        asked = {"authenticatorId": self.id, "isUserVerified": its_owner}
        self.session.send("WebAuthn.setUserVerified", asked)


@pytest.fixture
def page(browser: BrowserContext) -> Page:
    return browser.new_page()


def give_password(page: Page) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("User name or e-mail address").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda address: "/login/" not in address)


def expect_home(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text("ada")


def open_add_page(page: Page) -> None:
    """Go to where a passkey is added, which asks for the password once more."""
    page.goto(f"{KEYS}add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Add a passkey")


def leave(page: Page) -> None:
    page.context.clear_cookies()
    page.goto("/accounts/login/")


def add_passkey(page: Page, screenshot: Screenshot) -> None:
    """Add one from the page of the account, and call it otherwise afterwards."""
    open_add_page(page)
    page.goto("/settings/")
    page.get_by_role("link", name="Add or remove one").click()
    page.get_by_role("link", name="Add a passkey").click()
    assert_accessible(page)
    screenshot(page, "passkey-add-light")
    page.get_by_role("textbox", name="Name").fill("Telephone")
    page.get_by_role("button", name="Add it").click()
    # The codes for the day it is lost are shown at once.
    expect(page.get_by_role("heading", level=1)).to_contain_text("Recovery codes")
    page.goto(KEYS)
    row = page.get_by_role("row", name="Telephone")
    expect(row).to_contain_text("alone")
    assert_accessible(page)
    screenshot(page, "passkeys-light")
    page.get_by_role("link", name="Rename Telephone").click()
    page.get_by_role("textbox", name="Name").fill("Blue telephone")
    page.get_by_role("button", name="Keep the name").click()
    expect(page.get_by_role("row", name="Blue telephone")).to_be_visible()


def test_a_passkey_opens_the_account_and_is_a_second_factor(
    ada: User, page: Page, screenshot: Screenshot
) -> None:
    device = Device(page)
    give_password(page)
    expect_home(page)
    add_passkey(page, screenshot)

    leave(page)
    device.recognises(its_owner=False)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("No passkey was used.")).to_be_visible()
    device.recognises(its_owner=True)
    assert_accessible(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect_home(page)

    leave(page)
    give_password(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Second factor")
    assert_accessible(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect_home(page)

    leave(page)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This account is deactivated")


def test_a_passkey_is_removed_and_the_pages_fit_a_phone(ada: User, page: Page) -> None:
    Device(page)
    give_password(page)
    open_add_page(page)
    page.get_by_label("Sign in with it alone").uncheck()
    page.get_by_role("button", name="Add it").click()
    # The browser makes the key and posts it after the click: leaving before that loses it.
    expect(page.get_by_role("heading", level=1)).to_contain_text("Recovery codes")
    page.set_viewport_size(PHONE)
    for address in (KEYS, f"{KEYS}add/", "/accounts/2fa/", f"{KEYS}reauthenticate/"):
        page.goto(address)
        assert_fits(page)
        assert_accessible(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect_home(page)

    page.goto(KEYS)
    expect(page.get_by_role("row", name="Passkey")).to_contain_text("after the password")
    page.get_by_role("link", name="Remove Passkey").click()
    expect(page.get_by_role("button", name="Remove it")).to_be_visible()
    assert_fits(page)
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("No passkey yet")).to_be_visible()
    assert not Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN).exists()


def test_at_a_number_it_is_said_why_there_can_be_none(
    ada: User, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context().new_page()
    give_password(page)
    open_add_page(page)

    expect(page.get_by_role("alert")).to_contain_text("A passkey belongs to a name")
    expect(page.get_by_role("button", name="Add it")).to_be_hidden()
