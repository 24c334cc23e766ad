"""A newcomer's path, on real workers and engines: sign in, chat, move, chat on, take it back."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from engines.models import Message
from migrations_app.states import PlanKind
from tests.openai_api.test_through_a_migration import held_at
from tests.pages.chromium import assert_fits
from tests.pages.fixtures import PHONE
from tests.world.people import NEW, OLD, Person, sentence
from tests.world.workers import Workers, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

LONG_MS = 240_000.0
"""Other work may hold the machine; nothing is judged by how long it takes."""


def be_brief(route: Route) -> None:
    """Ask for a few words: engines of random weights seldom come to an end."""
    wish = {**json.loads(route.request.post_data or "{}"), "max_tokens": 24}
    route.continue_(post_data=json.dumps(wish))


def sign_in(page: Page) -> None:
    page.goto("/")
    page.get_by_label("User name or e-mail address").fill("ada")
    page.get_by_label("Password").fill("only-for-tests")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome, ada")


def ask(page: Page, question: str, engine: str) -> None:
    """Ask, and wait for what is kept of the answer, with who wrote it and on what it stands."""
    answers = page.locator(".message-from-engine")
    new = answers.nth(answers.count())
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")
    expect(new.get_by_role("button", name="Answer again")).to_be_visible(timeout=LONG_MS)
    expect(new.locator(".message-meta")).to_contain_text(engine)
    expect(new.locator(".citation")).not_to_have_count(0)
    expect(new).to_be_in_viewport()


def open_passage(page: Page, text: str) -> None:
    page.locator(".citation").first.click()
    passage = page.get_by_role("dialog", name="Passage")
    expect(passage.locator(".is-marked")).to_contain_text(text)
    passage.get_by_role("button", name="Close").click()
    expect(passage).to_be_hidden()


def move(page: Page, workers: Workers) -> None:
    """Plan it, start it, and see the switch come near without loading the page again."""
    heading = page.get_by_role("heading", level=1)
    page.get_by_role("link", name="Move", exact=True).click()
    page.get_by_role("button", name="Choose").click()
    expect(heading).to_have_text("What moving to Tiny-Qwen means")
    page.get_by_role("link", name="Options").last.click()
    page.get_by_role("button", name="Go on to the summary").click()
    point = held_at(workers, PlanKind.MIGRATE, "cut_over")
    page.get_by_role("button", name="Move now").click()
    expect(heading).to_have_text("Moving to Tiny-Qwen")
    page.evaluate("window.isSamePage = true")
    switch = page.get_by_role("listitem").filter(has_text="Switch")
    expect(switch.locator(".is-turning")).to_be_visible(timeout=LONG_MS)
    wait_until(point.with_name(f"{point.name}.hit").exists, "the switch to be near")
    assert page.evaluate("window.isSamePage"), "it was told, and not loaded again"
    point.with_name(f"{point.name}.go").touch()
    expect(heading).to_have_text("You are on Tiny-Qwen now", timeout=LONG_MS)


def take_it_back(page: Page) -> None:
    page.get_by_role("link", name="Home", exact=True).click()
    page.get_by_role("link", name="go back to Tiny-Llama").click()
    page.get_by_role("button", name="Take it back").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Tiny-Llama answers you again", timeout=LONG_MS)


def conversation_of(page: Page, title: str) -> None:
    page.get_by_role("link", name="Chat", exact=True).click()
    page.get_by_role("navigation", name="Conversations").get_by_role("link", name=title).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    # A question put before the page's script is there would be put as a form.
    page.wait_for_load_state()


def test_a_newcomer_chats_moves_chats_on_and_takes_it_back(
    ada: Person,
    workers: Workers,
    open_context: Callable[..., BrowserContext],
) -> None:
    page = open_context().new_page()
    page.route("**/conversations/*/messages", be_brief)
    # Embedders of random weights find what is asked for word by word.
    question = sentence(2)
    sign_in(page)
    page.get_by_role("link", name="Chat", exact=True).click()
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    page.wait_for_load_state()
    ask(page, question, "Tiny-Llama")
    open_passage(page, question)

    move(page, workers)
    conversation_of(page, question)
    expect(page.locator(".turning-point")).to_have_count(0)
    ask(page, "And the violin?", "Tiny-Qwen")
    expect(page.locator(".turning-point")).to_have_text("From here Tiny-Qwen answers")

    take_it_back(page)
    conversation_of(page, question)
    ask(page, "And the orchard?", "Tiny-Llama")
    turns = page.locator(".turning-point")
    expect(turns).to_have_text(["From here Tiny-Qwen answers", "From here Tiny-Llama answers"])

    answers = Message.objects.filter(conversation__title=question, role=Message.Role.ASSISTANT)
    engines = answers.order_by("position").values_list("engine__model_id", flat=True)
    assert list(engines) == [OLD, NEW, OLD]
    page.set_viewport_size(PHONE)
    assert_fits(page)
