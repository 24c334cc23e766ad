"""What a page shows of a plan changes by itself, in a real browser, also when the server was away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.live.conftest import Work, plan_of

pytestmark = pytest.mark.browser

SECTION = """([plan, status]) => {
  const section = document.createElement("section");
  section.dataset.livePlan = plan;
  if (status) section.dataset.status = status;
  section.innerHTML = `
    <p data-live="status"></p><p data-live="pace"></p><p data-live="announce" aria-live="polite"></p>
    <progress data-live="bar" max="100" value="0"></progress>
    <ol><li data-live-step="verify" data-label="Checking the file"><span data-live="step-detail"></span></li></ol>`;
  document.querySelector("main").append(section);
  window.heard = [];
  section.addEventListener("sam:live:change", event => window.heard.push(event.detail.to_status));
  return import("/static/sam/js/live.js").then(() => null);
}"""


def test_a_section_follows_its_plan(
    transactional_db: None, signed_in_page: Callable[..., Page]
) -> None:
    user = User.objects.create_user("olga", is_staff=True)
    plan = plan_of(user)
    page = signed_in_page(user)
    page.goto("/styleguide/")

    page.evaluate(SECTION, [str(plan.pk), ""])
    section = page.locator("[data-live-plan]")
    status = section.locator('[data-live="status"]')
    expect(status).to_have_text("Running")
    work = Work(plan)
    announced = section.locator('[data-live="announce"]')
    expect(announced).to_have_text("Checking the file: Running")
    work.report(25, 100)
    expect(section.locator('[data-live="bar"]')).to_have_js_property("value", 25)
    expect(section.locator('[data-live="step-detail"]')).to_have_text("25 of 100")
    expect(announced).to_have_text("Checking the file: Running")
    work.finish()

    expect(status).to_have_text("Done")
    expect(announced).to_have_text("Done")
    expect(section).to_have_attribute("data-status", "completed")
    assert page.evaluate("window.heard") == ["in_progress", "completed", "completed"]


def test_what_changed_before_the_stream_was_open_is_told(
    transactional_db: None, signed_in_page: Callable[..., Page]
) -> None:
    user = User.objects.create_user("olga", is_staff=True)
    plan = plan_of(user)
    page = signed_in_page(user)
    page.goto("/styleguide/")

    page.evaluate(SECTION, [str(plan.pk), "pending"])

    section = page.locator("[data-live-plan]")
    expect(section).to_have_attribute("data-status", "in_progress")
    assert page.evaluate("window.heard") == ["in_progress"]
