"""The wizard in a browser: in both schemes, on a phone, with a keyboard, without scripts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from engines.models import AdapterStatus, LoraAdapter
from migrations_app.controller import MigrationController
from migrations_app.models import Plan, Step
from migrations_app.states import PlanStatus, StepStatus
from tests.api.roles import Engines, People, make_engines, make_people
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PHONE
from tests.pages.wizard.library import furnish

pytestmark = pytest.mark.browser

controller = MigrationController()
LOST = "The host gpu-1 has been lost for 4 minutes. Move the plan to another host, or wait for it."


@pytest.fixture
def people(transactional_db: None) -> People:
    return make_people()


@pytest.fixture
def engines(people: People) -> Engines:
    made = make_engines()
    furnish(people, made)
    return made


def choose(page: Page, name: str) -> Plan:
    """Choose an engine on the first page."""
    page.goto("/migrate/")
    page.get_by_role("article", name=name).get_by_role("button", name="Choose").click()
    page.wait_for_url("**/meaning/")
    return Plan.objects.latest("created_at")


def measure(asked: int, old: float, new: float) -> dict[str, float]:
    shares = {"old_recall": old, "recall": new, "old_ndcg": old - 0.08, "ndcg": new - 0.05}
    return {"asked": asked, **shares}


QUALITY = {
    "whole": measure(100, 0.93, 0.91),
    "scripts": {"Latin": measure(90, 0.93, 0.94), "Thai": measure(24, 0.92, 0.5)},
    "documents": [],
    "own": {"asked": 12, "recall": 0.83, "ndcg": 0.79},
}


def half_done(plan: Plan) -> None:
    now = timezone.now()
    steps = Step.objects.filter(plan=plan)
    steps.filter(position__lt=2).update(
        status=StepStatus.COMPLETED, started_at=now - timedelta(seconds=40), finished_at=now
    )
    steps.filter(position=2).update(
        status=StepStatus.IN_PROGRESS,
        fence=1,
        lease_until=now + timedelta(days=1),
        progress=0.62,
        detail="Embedding range 2 of 3: 310 texts.",
    )
    Plan.objects.filter(pk=plan.pk).update(progress_percentage=43)


def done(plan: Plan) -> None:
    now = timezone.now()
    steps = Step.objects.filter(plan=plan)
    steps.update(
        status=StepStatus.COMPLETED,
        started_at=now - timedelta(seconds=40),
        finished_at=now,
        error="",
    )
    proof = {"base": 1, "compared": 40, "old_found": 37, "found": 38, "quality": QUALITY}
    steps.filter(kind="probe").update(result={"indexes": [proof]})
    adapters = list(LoraAdapter.objects.values_list("pk", flat=True))
    Plan.objects.filter(pk=plan.pk).update(
        status=PlanStatus.COMPLETED,
        finished_at=now,
        progress_percentage=100,
        switched={"bases": [], "prompt_family": "qwen", "adapters": adapters},
        retention_until=now + timedelta(days=14),
    )
    LoraAdapter.objects.update(status=AdapterStatus.INVALIDATED)


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
def test_every_step_can_be_read_by_everybody(
    people: People,
    engines: Engines,
    signed_in_page: Callable[..., Page],
    screenshot: Screenshot,
    kind: str,
) -> None:
    options = {"viewport": PHONE, "has_touch": True} if kind == "phone" else {"color_scheme": kind}
    page = signed_in_page(people.alice, reduced_motion="reduce", bypass_csp=True, **options)

    def judge(name: str) -> None:
        assert_accessible(page)
        assert_fits(page)
        screenshot(page, f"wizard-{name}-{kind}")

    page.goto("/migrate/")
    judge("1-choose")
    plan = choose(page, "Qwen 3 4B")
    judge("2-meaning")
    page.goto(f"/migrate/{plan.pk}/options/")
    judge("3-options")
    page.goto(f"/migrate/{plan.pk}/confirm/")
    judge("4-confirm")
    controller.execute_migration(plan.pk)
    half_done(plan)
    page.goto(f"/migrate/{plan.pk}/")
    judge("5-progress")
    Step.objects.filter(plan=plan, position=2).update(status="needs_operator", error=LOST)
    page.reload()
    judge("5-operator")
    # The page that follows the plan would read itself again in the middle of the way to the next one.
    page.goto("about:blank")
    done(plan)
    page.goto(f"/migrate/{plan.pk}/")
    judge("6-result")
    # As wide as the card of the sample is in a window of 1000 pixels.
    page.locator(".table-wrap").evaluate_all("all => all.forEach(e => e.style.maxWidth = '561px')")
    assert_fits(page)
    page.goto("/plans/")
    judge("7-plans")


def test_the_way_to_the_start_without_scripts(
    people: People, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.alice, java_script_enabled=False)
    page.goto("/migrate/")
    page.get_by_label("Search engines").fill("mistral")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name="Choose").click()
    page.get_by_role("link", name="Options").last.click()
    page.get_by_label("Re-embed my knowledge for the new engine").uncheck()
    page.get_by_label("At a time of my choice").check()
    page.get_by_role("button", name="Go on to the summary").click()
    expect(page.get_by_text("Say when it shall start")).to_be_visible()

    tomorrow = timezone.now() + timedelta(days=1)
    page.get_by_label("Start at this time").fill(f"{tomorrow:%FT}03:30")
    page.get_by_role("button", name="Go on to the summary").click()
    page.get_by_role("button", name="Schedule the move").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "The move to Mistral 7B Instruct is scheduled"
    )
    plan = Plan.objects.get()
    assert plan.not_before is not None
    assert (f"{plan.not_before:%H:%M}", plan.re_embed_knowledge) == ("03:30", False)

    page.get_by_role("button", name="Start now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Moving to Mistral 7B Instruct")
    half_done(plan)
    page.get_by_role("link", name="Reload to see how far it is").click()
    expect(page.get_by_text("Embedding range 2 of 3")).to_be_visible()
    Step.objects.filter(plan=plan).exclude(position__lt=2).update(status=StepStatus.PENDING)
    page.get_by_role("button", name="Cancel the move").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "The move to Mistral 7B Instruct was stopped"
    )


def test_a_keyboard_is_enough(
    people: People, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.alice)
    page.goto("/migrate/")
    press(page, "button", "Choose")
    page.wait_for_url("**/meaning/")
    press(page, "link", "Options", last=True)
    page.wait_for_url("**/options/")
    press(page, "button", "Go on to the summary")
    page.wait_for_url("**/confirm/")
    press(page, "button", "Move now")
    page.wait_for_url("**/progress/")

    assert Plan.objects.get().status == PlanStatus.IN_PROGRESS


def press(page: Page, role: str, name: str, *, last: bool = False) -> None:
    """Walk there with Tab, as somebody without a mouse does, and press Enter."""
    found = page.get_by_role(role, name=name)  # type: ignore[arg-type]
    target = found.last if last else found.first
    for _ in range(80):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"no Tab leads to {role} {name}")


def test_a_search_is_answered_while_one_types_and_the_back_button_works(
    people: People, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.alice)
    page.goto("/migrate/")
    page.get_by_label("Search engines").press_sequentially("gemma")
    expect(page.get_by_role("article")).to_have_count(1)
    expect(page).to_have_url("http://" + page.url.split("/")[2] + "/migrate/?q=gemma")

    page.get_by_role("button", name="Choose").click()
    page.wait_for_url("**/meaning/")
    page.go_back()
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("button", name="Choose").click()
    page.wait_for_url("**/meaning/")
    assert Plan.objects.count() == 1


def test_a_time_is_typed_in_the_readers_zone(
    people: People, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.alice, timezone_id="Asia/Tokyo")
    plan = choose(page, "Qwen 3 4B")
    page.goto(f"/migrate/{plan.pk}/options/")
    expect(page.get_by_text("In the time zone Asia/Tokyo")).to_be_visible()
    day = timezone.now() + timedelta(days=2)
    page.get_by_label("Start at this time").fill(f"{day:%FT}03:30")
    expect(page.get_by_label("At a time of my choice")).to_be_checked()
    page.get_by_role("button", name="Go on to the summary").click()
    page.wait_for_url("**/confirm/")

    plan.refresh_from_db()
    assert plan.not_before is not None
    assert f"{plan.not_before:%H:%M}" == "18:30"
    page.goto(f"/migrate/{plan.pk}/options/")
    expect(page.get_by_label("Start at this time")).to_have_value(f"{day:%FT}03:30")
