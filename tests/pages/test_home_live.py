"""Home in a browser: it lives, it fits, it can be heard and worked by keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import APIResponse, Page, Route, expect

from migrations_app.models import Plan, Step
from migrations_app.states import PlanKind, PlanStatus, StepStatus
from tests.api.roles import Engines, make_engines, make_plan, use_engine
from tests.live.conftest import Work, plan_of
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PHONE
from tests.people.test_indicator import leave_adapter, put_on_host

pytestmark = pytest.mark.browser


@pytest.fixture
def ada(transactional_db: None) -> User:
    return User.objects.create_user("ada", first_name="Ada")


@pytest.fixture
def engines(ada: User) -> Engines:
    """Ada has moved three days ago, a download runs, and two things wait for her."""
    world = make_engines()
    for model, name in ((world.old, "Llama 3.1 8B Instruct"), (world.new, "Qwen 3 4B Instruct")):
        model.display_name = name
        model.save()
    put_on_host(world, world.old, world.new)
    now = timezone.now()
    preference = use_engine(ada, world.new)
    preference.last_upgrade = now - timedelta(days=3)
    preference.save()
    Plan.objects.create(
        kind=PlanKind.MIGRATE,
        user=ada,
        from_engine=world.old,
        to_engine=world.new,
        to_revision=world.new.current_revision,
        status=PlanStatus.COMPLETED,
        finished_at=now - timedelta(days=3) + timedelta(seconds=40),
        retention_until=now + timedelta(days=11),
    )
    leave_adapter(ada, world, "legal style")
    make_plan(ada, replace(world, new=world.old))
    return world


@pytest.fixture
def download(ada: User, engines: Engines) -> Plan:
    plan = Plan.objects.create(
        kind=PlanKind.DOWNLOAD,
        created_by=ada,
        host=engines.host,
        to_engine=engines.old,
        status=PlanStatus.IN_PROGRESS,
        progress_percentage=42,
    )
    Step.objects.create(
        plan=plan,
        position=0,
        kind="download",
        status=StepStatus.IN_PROGRESS,
        fence=1,
        lease_until=timezone.now() + timedelta(hours=1),
        progress=0.42,
        detail="1.9 of 4.6 GB · 38 MB/s",
    )
    return plan


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(
    ada: User,
    download: Plan,
    signed_in_page: Callable[..., Page],
    screenshot: Screenshot,
    scheme: str,
) -> None:
    page = signed_in_page(ada, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)

    page.goto("/")

    assert_accessible(page)
    screenshot(page, f"home-{scheme}")
    page.goto(f"/migrate/{download.pk}/")
    assert_accessible(page)


def test_it_fits_a_phone(
    ada: User, download: Plan, signed_in_page: Callable[..., Page], screenshot: Screenshot
) -> None:
    page = signed_in_page(ada, viewport=PHONE, has_touch=True, reduced_motion="reduce")

    page.goto("/")

    assert_fits(page)
    screenshot(page, "home-phone")


def test_progress_comes_by_itself_and_keeps_ones_place(
    ada: User, signed_in_page: Callable[..., Page]
) -> None:
    plan = plan_of(ada)
    page = signed_in_page(ada)
    polls: list[str] = []
    page.on("request", lambda request: polls.append(request.url))
    page.goto("/")
    link = page.locator(f"#plan-{plan.pk}")
    link.focus()
    work = Work(plan)

    work.report(80, 100)

    expect(page.locator("progress")).to_have_js_property("value", 80)
    expect(page.get_by_text("80 of 100")).to_be_visible()
    expect(link).to_be_focused()
    work.finish()
    expect(page.get_by_role("heading", name="Running")).to_be_hidden()
    assert not [address for address in polls if address.endswith("/api/v1/progress")]


def test_what_happens_while_the_page_is_drawn_anew_is_drawn_too(
    ada: User, signed_in_page: Callable[..., Page]
) -> None:
    plan = plan_of(ada)
    page = signed_in_page(ada)
    page.goto("/")
    held: list[tuple[Route, APIResponse]] = []

    def hold_first_part(route: Route) -> None:
        if held or "hx-request" not in route.request.headers:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    page.route(re.compile(r"/$"), hold_first_part)
    work = Work(plan)
    while not held:
        page.wait_for_timeout(50)
    next_change = page.evaluate_handle(
        "() => ({ come: new Promise((tell) => addEventListener('sam:live:change', tell, { once: true })) })"
    )
    work.finish()
    next_change.evaluate("async (next) => { await next.come; }")
    route, drawn_before = held[0]
    route.fulfill(response=drawn_before)

    expect(page.get_by_role("heading", name="Running")).to_be_hidden()


def test_what_happens_before_its_stream_is_open_is_drawn_too(
    ada: User, signed_in_page: Callable[..., Page]
) -> None:
    plan = plan_of(ada)
    page = signed_in_page(ada)
    held: list[Route] = []
    page.route("**/api/v1/events*", lambda route: held.append(route))
    page.goto("/")
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    work = Work(plan)
    work.finish()
    while not held:
        page.wait_for_timeout(50)
    for route in held:
        route.continue_()

    expect(page.get_by_role("heading", name="Running")).to_be_hidden()


def test_without_a_stream_it_asks_again_and_again(
    ada: User, signed_in_page: Callable[..., Page]
) -> None:
    plan = plan_of(ada)
    page = signed_in_page(ada)
    # A proxy that lets no stream through answers with something else.
    page.route("**/api/v1/events*", lambda route: route.fulfill(status=204))
    with page.expect_response("**/api/v1/progress"):
        page.goto("/")
    work = Work(plan)
    work.finish()

    expect(page.get_by_role("heading", name="Running")).to_be_hidden()


def test_it_says_the_same_without_scripts(
    ada: User, download: Plan, signed_in_page: Callable[..., Page]
) -> None:
    moved = Plan.objects.get(status=PlanStatus.COMPLETED)
    page = signed_in_page(ada, java_script_enabled=False)

    page.goto("/")

    expect(page.get_by_text("Move to Llama 3.1 8B Instruct?")).to_be_visible()
    page.get_by_role("link", name="this move").click()
    assert page.url.endswith(f"/migrate/{moved.pk}/result/")


def test_the_badge_is_shown_with_what_to_copy(
    ada: User, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(ada)
    page.goto("/")

    page.get_by_role("button", name="Badge").click()

    code = page.locator("#badge-code").inner_text()
    assert code.startswith('<a href="http://127.0.0.1:')
    address = code.split('src="')[1].split('"')[0]
    expect(page.get_by_role("img", name="Your badge")).to_be_visible()
    assert "Qwen 3 4B Instruct" in page.request.get(address).text()
