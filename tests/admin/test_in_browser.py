"""The admin in Chromium: under the strict policy, read by axe, on a phone, live, in the reader's zone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from migrations_app.models import Plan
from migrations_app.moves.mass_moves import MassMoveWish, start_mass_move
from migrations_app.moves.turn import take_turn
from migrations_app.plans.transitions import start_plan
from migrations_app.states import PlanStatus
from tests.api.roles import Engines, People, make_engines, make_people, make_plan, use_engine
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PHONE

pytestmark = pytest.mark.browser

PLANS = "/admin/migrations_app/plan/"
CATALOG = "/admin/engines/catalogmodel/"


@pytest.fixture
def people(transactional_db: None) -> People:
    found = make_people()
    User.objects.exclude(username__in=["alice", "bob"]).update(is_staff=True)
    return found


@pytest.fixture
def engines(transactional_db: None) -> Engines:
    return make_engines()


@pytest.fixture
def plan(people: People, engines: Engines) -> Plan:
    return make_plan(people.alice, engines)


OpenPage = Callable[..., Page]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(
    people: People, engines: Engines, plan: Plan, signed_in_page: OpenPage, scheme: str
) -> None:
    page = signed_in_page(
        people.administrator, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
    )

    for address in (
        "/admin/",
        PLANS,
        f"{PLANS}{plan.pk}/change/",
        f"{CATALOG}{engines.old.pk}/change/",
        f"{CATALOG}hub/",
        f"{CATALOG}{engines.old.pk}/try/",
        f"{CATALOG}import/",
        f"/admin/engines/host/{engines.host.pk}/change/",
        f"/admin/auth/user/{people.alice.pk}/change/",
    ):
        page.goto(address)
        assert_accessible(page)


def test_the_frame_works_under_the_policy(
    people: People, engines: Engines, signed_in_page: OpenPage, screenshot: Screenshot
) -> None:
    page = signed_in_page(people.administrator)

    page.goto("/admin/")
    navigation = page.locator("#nav-sidebar")
    expect(navigation.get_by_role("link", name="Catalog")).to_be_visible()
    page.get_by_role("button", name="Toggle navigation").click()
    expect(navigation).to_be_hidden()
    page.get_by_role("button", name="Toggle navigation").click()
    screenshot(page, "admin-overview")

    page.goto(CATALOG)
    page.locator("a", has_text="Filters").click()
    expect(page.locator("#changelist-filter")).to_be_visible()

    page.goto(f"{CATALOG}{engines.old.pk}/change/")
    expect(page.locator("#id_filename")).to_be_visible()
    page.locator("#content-main a, #content-main button").get_by_text("Engine", exact=True).click()
    expect(page.locator("#id_gpu_layers")).to_be_visible()
    expect(page.locator("#id_filename")).to_be_hidden()


def test_people_are_moved_after_a_look_at_what_it_means(
    people: People, engines: Engines, signed_in_page: OpenPage, screenshot: Screenshot
) -> None:
    for person in (people.alice, people.bob):
        use_engine(person, engines.old)
    page = signed_in_page(people.operator)
    page.goto("/admin/engines/enginepreference/")

    page.locator(".action-select").first.check()
    page.locator("select[name=action]").select_option("move_people")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("To", exact=True).select_option("QWEN-4B")
    page.get_by_role("button", name="Show what it would mean").click()
    expect(page.get_by_text("from LLAMA-8B")).to_have_count(1)
    assert not Plan.objects.exists()
    screenshot(page, "admin-move")
    page.get_by_role("button", name="Move them").click()

    expect(page.get_by_text("1 person is being moved to QWEN-4B.")).to_be_visible()
    expect(page.get_by_role("heading", name="1 person to QWEN-4B")).to_be_visible()
    assert not Plan.objects.exists()
    take_turn()
    expect(page.get_by_role("link", name=re.compile("Plan of (alice|bob)"))).to_be_visible()
    page.get_by_role("link", name="Running 1").click()
    expect(page.get_by_role("heading", name="Those who are running")).to_be_visible()
    assert Plan.objects.get().status == PlanStatus.IN_PROGRESS


def test_the_page_of_a_mass_move_is_read_by_everybody(
    people: People, engines: Engines, signed_in_page: OpenPage, screenshot: Screenshot
) -> None:
    for person in (people.alice, people.bob):
        use_engine(person, engines.old)
    use_engine(people.curator, engines.new)
    wish = MassMoveWish(engines.new.model_id, at_once=1)
    move = start_mass_move(User.objects.all(), wish, actor=people.operator)
    take_turn()
    page = signed_in_page(people.operator, bypass_csp=True, reduced_motion="reduce")

    page.goto(f"/admin/migrations_app/massmove/{move.pk}/change/")
    expect(page.get_by_role("heading", name="Why people were left out")).to_be_visible()
    assert_accessible(page)
    screenshot(page, "admin-mass-move")
    page.set_viewport_size(PHONE)
    assert_fits(page)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/admin/migrations_app/massmove/")
    assert_accessible(page)
    page.get_by_role("link", name="To QWEN-4B").click()
    page.get_by_role("button", name="Cancel the rest").click()
    expect(page.get_by_text("The rest is cancelled; who has switched")).to_be_visible()


def test_the_status_of_a_plan_is_in_the_window_of_a_phone(
    people: People, plan: Plan, signed_in_page: OpenPage
) -> None:
    page = signed_in_page(people.operator, viewport=PHONE, has_touch=True)

    for address in (PLANS, f"{PLANS}{plan.pk}/change/", "/admin/"):
        page.goto(address)
        assert_fits(page)
        if address != "/admin/":
            expect(page.locator(".badge").first).to_be_in_viewport()


def test_forms_fit_a_phone_and_break_no_policy(
    people: People, engines: Engines, signed_in_page: OpenPage
) -> None:
    page = signed_in_page(people.administrator, viewport=PHONE, has_touch=True)

    for address in (
        f"/admin/auth/user/{people.alice.pk}/change/",
        f"/admin/engines/host/{engines.host.pk}/change/",
        f"{CATALOG}{engines.old.pk}/try/",
        f"{CATALOG}import/",
        "/admin/engines/invitation/add/",
    ):
        page.goto(address)
        assert_fits(page)
    expect(page.get_by_label("curator")).to_be_visible()
    expect(page.get_by_label("Days")).to_have_value("7")


def test_an_open_plan_moves_by_itself_and_is_started_by_its_button(
    people: People, plan: Plan, signed_in_page: OpenPage, screenshot: Screenshot
) -> None:
    page = signed_in_page(people.operator)
    page.goto(f"{PLANS}{plan.pk}/change/")

    page.get_by_role("button", name="Execute").click()
    expect(page.get_by_text("Move alice to QWEN-4B: started.")).to_be_visible()
    assert Plan.objects.get(pk=plan.pk).status == PlanStatus.IN_PROGRESS

    Plan.objects.filter(pk=plan.pk).update(progress_percentage=83)
    expect(page.locator("#plan-live .progress-line").first).to_contain_text("83 %")
    screenshot(page, "admin-plan")


def test_times_are_in_the_readers_zone(
    people: People, plan: Plan, signed_in_page: OpenPage
) -> None:
    start_plan(plan.pk, who="oscar")
    page = signed_in_page(people.operator, timezone_id="Asia/Tokyo", locale="en-GB")

    page.goto("/admin/")
    page.goto(PLANS)

    expect(page.locator("#result_list")).to_contain_text(re.compile(r"\d\d:\d\d:\d\d JST"))


def test_a_long_name_is_read_whole_on_a_phone(people: People, signed_in_page: OpenPage) -> None:
    User.objects.create_user(f"{'maximiliane-alexandra-' * 5}@organisation.example.org")
    page = signed_in_page(people.administrator, viewport=PHONE)

    page.goto("/admin/auth/user/")

    cell = page.get_by_role("link", name="maximiliane").locator("xpath=..")
    expect(cell).to_be_visible()
    assert cell.evaluate(
        "cell => cell.scrollHeight <= cell.clientHeight && cell.scrollWidth <= cell.clientWidth"
    )
    assert_fits(page)
