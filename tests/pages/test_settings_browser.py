"""Adapters and prompts in a browser: both schemes, a phone, and a prompt kept and taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from engines.models import AdapterStatus, LoraAdapter, PromptTemplate
from engines.services.people.preferences import edit_prompts, prompts_of
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.api.roles import People, make_engines, make_people, make_plan, use_engine
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PHONE
from tests.people.test_indicator import leave_adapter

pytestmark = pytest.mark.browser

FAMILY = "Answer briefly.\nSay when you do not know.\nQuote what you read."


@pytest.fixture
def people(transactional_db: None) -> People:
    """Alice after a move, with three adapters and prompts of her own."""
    made, engines = make_people(), make_engines()
    use_engine(made.alice, engines.old)
    plan = make_plan(made.alice, engines)
    until = timezone.now() + timedelta(days=13)
    Plan.objects.update(status=PlanStatus.COMPLETED, retention_until=until)
    for name in ("legal style", "short answers", "house words"):
        adapter = leave_adapter(made.alice, engines, name)
        adapter.training_stats["migration_notes"][0]["plan"] = str(plan.pk)
        adapter.file_size = 18_400_000
        adapter.artifact_key = f"adapters/00/{adapter.pk:064x}"
        adapter.save()
    LoraAdapter.objects.filter(name="short answers").update(status=AdapterStatus.ACTIVE)
    LoraAdapter.objects.filter(name="house words").update(status=AdapterStatus.DISABLED)
    PromptTemplate.objects.update_or_create(family="llama", defaults={"system_prompt": FAMILY})
    edit_prompts(made.alice, "llama", {"system_prompt": FAMILY.replace("briefly", "in full")})
    return made


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
def test_pages_can_be_read_by_everybody(
    people: People, signed_in_page: Callable[..., Page], screenshot: Screenshot, kind: str
) -> None:
    options = {"viewport": PHONE, "has_touch": True} if kind == "phone" else {"color_scheme": kind}
    page = signed_in_page(people.alice, reduced_motion="reduce", bypass_csp=True, **options)

    for name in ("adapters", "prompts", "prompts/llama"):
        page.goto(f"/settings/{name}/")
        assert_accessible(page)
        assert_fits(page)
        screenshot(page, f"{name.replace('/', '-')}-{kind}")


def test_an_adapter_is_deleted_after_a_second_thought(
    people: People, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.alice, java_script_enabled=False)
    page.goto("/settings/adapters/")
    line = page.locator("li.card").filter(has_text="house words")
    line.get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("“house words” is switched on.")).to_be_visible()
    assert LoraAdapter.objects.get(name="house words").status == AdapterStatus.ACTIVE
    expect(line.get_by_role("button", name="for good")).to_be_hidden()
    line.locator("summary").click()
    line.get_by_role("button", name="for good").click()
    expect(page.get_by_text("“house words” is deleted.")).to_be_visible()

    assert LoraAdapter.objects.count() == 2


def test_a_prompt_is_taken_back_and_kept_anew(
    people: People, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.alice, java_script_enabled=False)
    page.goto("/settings/prompts/llama/")
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_text("The family’s text holds again.")).to_be_visible()
    assert prompts_of(people.alice, "llama").system_prompt == FAMILY

    page.get_by_label("What the engine is told first").fill("From this page.")
    page.get_by_role("button", name="Keep my prompts").click()
    expect(page.get_by_text("Your prompts are kept.")).to_be_visible()
    assert prompts_of(people.alice, "llama").system_prompt == "From this page."


def test_the_tab_that_is_open_is_in_sight_on_a_phone(
    people: People, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.alice, viewport=PHONE, has_touch=True)

    page.goto("/settings/preferences/")

    tab = page.get_by_role("navigation", name="Settings").get_by_role("link", name="Preferences")
    expect(tab).to_be_in_viewport(ratio=0.9)
