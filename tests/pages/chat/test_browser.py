"""Talking in a browser, with a real engine behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from engines.models import EnginePreference, Message, ModelRevision
from engines.services.people.conversations import add_message, create_conversation
from migrations_app.serving.protocol import LIVE_KINDS
from tests.openai_api.conftest import Served, served
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PATIENCE_MS, PHONE
from tests.worker.live.test_live import make_revision
from tests.worker.plans import make_host
from tests.worker.processes import wait_until

__all__ = ["served"]

pytestmark = pytest.mark.browser

QUESTION = "What is the capital of France?"
MARKDOWN = "Three things:\n\n1. **Slate** lasts\n2. Tin is `cheap`\n\n| roof | price |\n|---|---|\n| slate | high |\n"


class Ada(NamedTuple):
    """A person, her quick engine, and a real one, which takes its time."""

    user: User
    quick: ModelRevision
    slow: ModelRevision

    def use(self, revision: ModelRevision) -> None:
        EnginePreference.objects.update_or_create(
            user=self.user, defaults={"engine": revision.model, "revision": revision}
        )


@pytest.fixture
def ada(transactional_db: None, served: Served, tiny_llama: Path, smollm2: Path) -> Ada:
    host = make_host(announces=[f"live.{kind}" for kind in LIVE_KINDS])
    user = User.objects.create_user("ada")
    quick, slow = make_revision(tiny_llama, host), make_revision(smollm2, host, "smollm2-135m")
    made = Ada(user, quick, slow)
    made.use(quick)
    return made


def test_a_question_is_answered_then_by_another_engine_stopped_and_asked_again(
    ada: Ada, signed_in_page: Callable[..., Page], screenshot: Screenshot
) -> None:
    # While the server keeps what was stopped, asking again is refused, and tried once more.
    page = signed_in_page(ada.user, expected="409 (Conflict)")
    page.goto("/chat/")
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    page.get_by_label("Your question").fill(QUESTION)
    page.keyboard.press("Enter")

    answer = page.locator(".message-from-engine:not([aria-busy]) .message-body")
    expect(answer).not_to_be_empty(timeout=PATIENCE_MS)
    expect(page).to_have_url(re.compile(r"/chat/[0-9]+/$"))
    expect(page.get_by_role("heading", level=1)).to_have_text(QUESTION)
    assert [m.role for m in Message.objects.order_by("position")] == ["user", "assistant"]

    ada.use(ada.slow)
    page.get_by_label("Your question").fill("Tell me a very long story about a ship.")
    page.get_by_role("button", name="Ask").click()
    busy = page.locator(".message-from-engine[aria-busy] .message-body")
    expect(busy).not_to_be_empty(timeout=PATIENCE_MS)
    expect(page.get_by_text("From here smollm2-135m answers")).to_be_visible()
    stop_and_ask_again(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Answer again")).to_have_count(1)
    wait_until(
        lambda: Message.objects.filter(status=Message.Status.STOPPED).exists(), "the part is kept"
    )
    page.reload()
    expect(page.get_by_text("Stopped")).to_be_visible()
    expect(page.get_by_text("From here smollm2-135m answers")).to_be_visible()
    screenshot(page, "chat-light")

    page.get_by_role("button", name="Answer again").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Ask")).to_be_visible()
    assert Message.objects.filter(role="user").count() == 2


def stop_and_ask_again(page: Page) -> None:
    """Ask again at once, while the server may still be keeping what was written."""
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Ask")).to_be_visible()
    expect(page.get_by_role("button", name="Answer again")).to_have_count(1)
    page.get_by_role("button", name="Answer again").click()
    busy = page.locator(".message-from-engine[aria-busy] .message-body")
    expect(busy).not_to_be_empty(timeout=PATIENCE_MS)


def test_enter_asks_before_the_module_is_there(
    ada: Ada, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(ada.user)
    page.route("**/js/chat*.js", lambda route: route.fulfill(content_type="text/javascript"))
    page.goto("/chat/")
    page.get_by_label("Your question").fill(QUESTION)
    page.keyboard.press("Shift+Enter")
    page.get_by_label("Your question").press("Enter")

    answer = page.locator(".message-from-engine .message-body")
    expect(answer).not_to_be_empty(timeout=PATIENCE_MS)
    assert Message.objects.filter(role="user").get().content.strip() == QUESTION


def test_without_scripts_the_answer_comes_whole(
    ada: Ada, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(ada.user, java_script_enabled=False)
    page.goto("/chat/")
    page.get_by_label("Your question").fill(QUESTION)
    page.get_by_role("button", name="Ask").click()

    answer = page.locator(".message-from-engine .message-body")
    expect(answer).not_to_be_empty(timeout=PATIENCE_MS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(
    ada: Ada, signed_in_page: Callable[..., Page], screenshot: Screenshot, scheme: str
) -> None:
    conversation = create_conversation(ada.user)
    add_message(conversation, role="user", content="Compare roofs of slate and tin, please.")
    add_message(conversation, role="assistant", content=MARKDOWN, engine=ada.slow.model)
    page = signed_in_page(ada.user, bypass_csp=True, color_scheme=scheme)

    for address in ("/chat/", f"/chat/{conversation.pk}/"):
        page.goto(address)
        assert_accessible(page)
    screenshot(page, f"chat-markdown-{scheme}")
    page.set_viewport_size(PHONE)
    assert_fits(page)
    screenshot(page, f"chat-phone-{scheme}")
