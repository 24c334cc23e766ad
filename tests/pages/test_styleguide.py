"""The components: in light and dark, on a phone, with a keyboard, under the policy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from engines.models import CatalogModel, KnowledgeBase, PromptTemplate
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PHONE

pytestmark = pytest.mark.browser


@pytest.fixture
def designer(transactional_db: None) -> User:
    return User.objects.create_user("dora", is_staff=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_components_are_accessible_in_both_schemes(
    designer: User, signed_in_page: Callable[..., Page], screenshot: Screenshot, scheme: str
) -> None:
    page = signed_in_page(designer, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)

    page.goto("/styleguide/")

    assert_accessible(page)
    screenshot(page, f"styleguide-{scheme}")


def test_components_fit_a_phone(
    designer: User, signed_in_page: Callable[..., Page], screenshot: Screenshot
) -> None:
    page = signed_in_page(designer, viewport=PHONE, has_touch=True, reduced_motion="reduce")

    page.goto("/styleguide/")

    assert_fits(page)
    small = page.evaluate(
        "[...document.querySelectorAll('.button, .site-nav a, .field input:not([type=radio], [type=checkbox])')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44).map(e => e.outerHTML)"
    )
    assert small == []
    screenshot(page, "styleguide-phone")


def test_the_policy_lets_everything_of_ours_run(
    designer: User, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(designer)

    page.goto("/styleguide/")
    page.get_by_role("button", name="Show a toast").click()
    expect(page.locator("#toasts .toast")).to_contain_text("legal style")

    page.get_by_role("button", name="Open a dialog").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_page_that_asks_every_few_seconds_says_once_that_nobody_is_there(
    designer: User, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(designer, expected="ERR_FAILED")
    page.goto("/styleguide/")
    said = page.locator("#toasts .toast", has_text="SAM could not be reached")
    # What htmx tells the console of it is not what is asked here.
    page.evaluate("console.error = () => {}")
    ask = "htmx.ajax('GET', location.href, {target: '#toasts', swap: 'none'}).catch(() => {})"
    page.route("**/styleguide/", lambda route: route.abort())

    for _ in range(3):
        page.evaluate(ask)
    expect(said).to_have_count(1)

    page.unroute("**/styleguide/")
    page.evaluate(ask)
    expect(said).to_have_count(0)


def test_headings_and_groups_are_in_order(
    designer: User, signed_in_page: Callable[..., Page]
) -> None:
    CatalogModel.objects.create(model_id="tiny", display_name="Tiny", filename="tiny.gguf")
    PromptTemplate.objects.create(family="tiny", system_prompt="Be brief.")
    page = signed_in_page(designer, bypass_csp=True)
    found = {}

    for address in ("/engines/", "/settings/prompts/"):
        page.goto(address)
        found[address] = [each["id"] for each in Axe().run(page).response["violations"]]

    assert found == {"/engines/": [], "/settings/prompts/": []}


def test_names_in_one_word_and_signs_without_words_do_on_a_phone(
    designer: User, signed_in_page: Callable[..., Page]
) -> None:
    base = KnowledgeBase.objects.create(owner=designer, name="Wolfeschlegelsteinhausen" * 5)
    page = signed_in_page(designer, viewport=PHONE, has_touch=True, bypass_csp=True)

    page.goto(f"/knowledge/{base.pk}/")
    assert_fits(page)
    page.goto("/chat/")
    assert_accessible(page)


def test_a_theme_is_kept_and_sent_by_the_server(
    designer: User, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(designer, color_scheme="light")
    page.goto("/styleguide/")
    assert _paper(page) == "rgb(246, 245, 240)"

    page.get_by_role("button", name="Dark").click()
    assert _paper(page) == "rgb(18, 21, 23)"
    page.reload()

    assert page.locator("html").get_attribute("data-theme") == "dark"
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    assert _paper(page) == "rgb(18, 21, 23)"


def test_a_theme_is_chosen_without_scripts(
    designer: User, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(designer, java_script_enabled=False)
    page.goto("/styleguide/")

    page.get_by_role("button", name="Dark").click()

    assert page.url.endswith("/styleguide/")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_a_keyboard_skips_to_the_page_and_works_the_menu(
    designer: User, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(designer)
    page.goto("/styleguide/")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    account = page.locator(".header-end summary")
    account.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(account).to_be_focused()


def _paper(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
