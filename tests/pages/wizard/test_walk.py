"""Ada moves in her browser, on real workers and engines: from the choice to the result, and back again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from engines.models import AdapterStatus, LoraAdapter
from engines.services.people.preferences import preference_of
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.world.people import NEW, OLD, Person
from tests.world.workers import Workers

pytestmark = pytest.mark.browser

LONG_MS = 240_000.0
"""Other work may hold the machine; nothing is judged by how long it takes."""


def ask_both(page: Page, ada: Person) -> None:
    page.get_by_role("link", name="Try a question on both").click()
    expect(page.get_by_text("The same question to Tiny-Llama and to Tiny-Qwen")).to_be_visible()
    page.get_by_label("Your question").fill("Where was the glacier seen?")
    page.get_by_role("button", name="Ask both").click()
    answers = page.get_by_role("article")
    expect(answers).to_have_count(2, timeout=LONG_MS)
    expect(answers.first).to_contain_text("Tiny-Llama")
    expect(answers.last).to_contain_text("Tiny-Qwen")
    expect(page.get_by_text("3 passages that both were given")).to_be_visible()
    assert ada.user.conversations.get().messages.count() == 2, "nothing is kept"


def test_ada_moves_tries_both_and_takes_it_back(
    ada: Person, workers: Workers, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(ada.user)
    heading = page.get_by_role("heading", level=1)
    page.goto("/migrate/")
    page.get_by_role("button", name="Choose").click()
    expect(heading).to_have_text("What moving to Tiny-Qwen means")
    expect(page.get_by_text("1 adapter stops working")).to_be_visible()
    expect(page.get_by_text("48 texts are embedded anew")).to_be_visible()

    page.get_by_role("link", name="Options").last.click()
    page.get_by_role("button", name="Go on to the summary").click()
    page.get_by_role("button", name="Move now").click()
    expect(heading).to_have_text("Moving to Tiny-Qwen")
    # By itself: the page is told of each step, and of the end.
    expect(heading).to_have_text("You are on Tiny-Qwen now", timeout=LONG_MS)
    assert preference_of(ada.user).engine_upgrade["active_engine_id"] == NEW
    expect(page.get_by_role("row", name="Engine")).to_contain_text("Tiny-Llama")
    expect(page.get_by_role("row", name="Adapters")).to_contain_text("1 needs retraining")

    ask_both(page, ada)
    page.get_by_role("link", name="Back").click()
    page.get_by_role("button", name="Take it back").click()
    expect(heading).to_have_text("Tiny-Llama answers you again", timeout=LONG_MS)
    assert preference_of(ada.user).engine_upgrade["active_engine_id"] == OLD
    assert LoraAdapter.objects.get(user=ada.user).status == AdapterStatus.ACTIVE

    page.get_by_role("link", name="Look at the move").click()
    expect(heading).to_have_text("Taken back: Tiny-Llama answers you again")
    assert set(Plan.objects.values_list("status", flat=True)) == {
        PlanStatus.COMPLETED,
        PlanStatus.ROLLED_BACK,
    }
