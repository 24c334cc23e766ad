"""Engines in a browser: in both schemes, on a phone, with a keyboard, without scripts, and live."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from playwright.sync_api import Page, expect

from engines.models import (
    CatalogModel,
    CopyStatus,
    EngineDefault,
    EngineFallback,
    EnginePreference,
    FallbackIncident,
    Host,
    HostStatus,
    ModelCopy,
    ModelRevision,
)
from migrations_app.library import get_model_library_manager
from migrations_app.models import Plan, Step
from migrations_app.states import PlanStatus, StepStatus
from tests.api.roles import GIB, Engines, People, make_engines, make_people
from tests.live.conftest import Work
from tests.pages.chromium import Screenshot, assert_accessible, assert_fits
from tests.pages.fixtures import PATIENCE_MS, PHONE
from tests.pages.wizard.library import furnish
from tests.pages.wizard.test_browser import press

pytestmark = pytest.mark.browser

SIZES = {"llama-8b": 4.9, "qwen-4b": 2.5, "gemma-12b": 7.3, "mistral-7b": 4.4, "qwen-32b": 19.8}
KEPT = {
    "1-library-light",
    "1-library-dark",
    "1-library-phone",
    "3-engine-light",
    "5-files-light",
    "6-downloads-light",
    "7-defaults-light",
}
"""Pictures worth keeping: the others differ in colours only."""
COUNT_STREAMS = """
  window.streams = 0;
  window.EventSource = class extends EventSource {
    constructor(...given) { super(...given); window.streams += 1; }
    close() { if (this.readyState !== EventSource.CLOSED) window.streams -= 1; super.close(); }
  };
"""
ERROR = "The Hub answered 503 for ten minutes. Try again, or look at its status page."


@pytest.fixture
def people(transactional_db: None) -> People:
    return make_people()


@pytest.fixture
def engines(people: People) -> Engines:
    """A catalog with everything that a page shows: sizes, defaults, downloads that run, wait and ended."""
    made = make_engines()
    furnish(people, made)
    for model_id, size in SIZES.items():
        ModelRevision.objects.filter(model__model_id=model_id).update(file_size=int(size * GIB))
    ModelRevision.objects.filter(model__model_id="qwen-235b").update(file_size=142 * GIB)
    Host.objects.create(
        name="gpu-2", status=HostStatus.ACTIVE, memory_bytes=32 * GIB, last_seen=timezone.now()
    )
    CatalogModel.objects.filter(pk=made.new.pk).update(
        description="Small, quick and fluent in a hundred languages; a sound first choice."
    )
    EngineDefault.objects.create(engine=made.new)
    group = Group.objects.create(name="Legal")
    EngineDefault.objects.create(engine=made.old, group=group)
    EngineFallback.objects.create(engine=made.old, answers=made.new)
    EngineFallback.objects.create()
    return made


def fetch(model_id: str, host: str = "gpu-1") -> Plan:
    return get_model_library_manager().start_download(model_id, host=host)


def play_downloads(engines: Engines) -> None:
    """One that runs, one that waits, one that is paused, and two that ended."""
    running, waiting = fetch("gemma-12b"), fetch("mistral-7b", "gpu-2")
    paused = Work(fetch("gemma-12b", "gpu-2"))
    paused.report(5.3, 7.3)
    get_model_library_manager().pause_download("gemma-12b", host="gpu-2")
    now = timezone.now()
    Step.objects.filter(plan=running).update(
        status=StepStatus.IN_PROGRESS,
        fence=1,
        lease_until=now + timedelta(days=1),
        progress=0.62,
        detail="Downloading gemma-12b: 4.5 of 7.3 GB.",
    )
    Step.objects.filter(plan=waiting).update(status=StepStatus.NEEDS_OPERATOR, error=ERROR)
    for engine, status in ((engines.old, "completed"), (engines.new, "cancelled")):
        Plan.objects.create(
            kind="download", host=engines.host, to_engine=engine, status=status, finished_at=now
        )
    old, new = engines.old.current_revision, engines.new.current_revision
    assert old is not None
    assert new is not None
    FallbackIncident.objects.create(
        revision=old, answered_by=new, reason="No host that is up has it.", last_at=now
    )


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
def test_every_page_can_be_read_by_everybody(
    people: People,
    engines: Engines,
    signed_in_page: Callable[..., Page],
    screenshot: Screenshot,
    kind: str,
) -> None:
    options = {"viewport": PHONE, "has_touch": True} if kind == "phone" else {"color_scheme": kind}
    play_downloads(engines)

    def judge(page: Page, address: str, name: str) -> None:
        page.goto(address)
        assert_accessible(page)
        assert_fits(page)
        if f"{name}-{kind}" in KEPT:
            screenshot(page, f"engines-{name}-{kind}")

    alice = signed_in_page(people.alice, reduced_motion="reduce", bypass_csp=True, **options)
    judge(alice, "/engines/", "1-library")
    judge(alice, "/engines/?family=qwen&fits=on", "2-filtered")
    judge(alice, "/engines/qwen-4b/", "3-engine")
    judge(alice, "/engines/settings/", "4-mine")
    staff = signed_in_page(
        people.administrator, reduced_motion="reduce", bypass_csp=True, **options
    )
    judge(staff, "/engines/gemma-12b/", "5-files")
    judge(staff, "/engines/downloads/", "6-downloads")
    judge(staff, "/engines/settings/defaults/", "7-defaults")
    judge(staff, "/engines/settings/fallbacks/", "8-fallbacks")


def test_what_is_typed_and_chosen_is_found_at_once(
    people: People, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.alice)
    page.goto("/engines/")
    page.get_by_label("Search engines").press_sequentially("qwen")
    expect(page.get_by_role("article")).to_have_count(3)

    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Size").select_option("tiny")
    expect(page.get_by_text("No engine is like that")).to_be_visible()
    page.get_by_label("Size").select_option("small")
    expect(page.get_by_role("article")).to_have_count(1)
    page.reload()
    expect(page.get_by_role("article")).to_have_count(1)
    expect(page.get_by_text("Filters (1 set)")).to_be_visible()
    page.get_by_role("link", name="Qwen 3 4B", exact=True).click()
    page.go_back()
    expect(page.get_by_role("article")).to_have_count(1)


def test_from_the_library_to_a_choice_without_scripts(
    people: People, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.bob, java_script_enabled=False)
    page.goto("/engines/")
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Capability").select_option("thinking")
    page.get_by_label("Downloaded").check()
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("link", name="Qwen 3 4B", exact=True).click()

    page.get_by_role("button", name="Make it my own choice").click()
    expect(page.get_by_text("You chose it.")).to_be_visible()
    assert EnginePreference.objects.get(user=people.bob).engine == engines.new
    page.get_by_role("link", name="Choose another").click()
    page.get_by_role("link", name="Gemma 3 12B").click()
    page.get_by_role("button", name="What would a move mean?").click()
    page.wait_for_url("**/meaning/")


def test_downloads_are_told_as_they_happen(
    people: People, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    plan = fetch("gemma-12b")
    page = signed_in_page(people.operator)
    page.goto("/engines/downloads/")
    card = page.get_by_role("article", name="Gemma 3 12B")
    expect(card.get_by_text("Waits for a worker of gpu-1")).to_be_visible()

    work = Work(plan)
    work.report(25, 100)
    expect(card.locator("progress")).to_have_js_property("value", 25)
    expect(card.get_by_text("25 of 100")).to_be_visible()
    page.goto("/engines/gemma-12b/")
    line = page.get_by_role("group", name="gpu-1")
    work.report(60, 100)
    expect(line.locator("progress")).to_have_js_property("value", 60)

    page.goto("/engines/downloads/")
    expect(card.locator("progress")).to_have_js_property("value", 60)
    work.finish()
    expect(page.get_by_text("No host is fetching anything.")).to_be_visible()
    expect(page.get_by_role("row", name="Gemma 3 12B").get_by_text("Completed")).to_be_visible()


def test_a_download_is_paused_and_goes_on_by_its_buttons(
    people: People, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    plan = fetch("gemma-12b")
    Work(plan).report(25, 100)
    page, other = signed_in_page(people.operator), signed_in_page(people.operator)
    page.goto("/engines/downloads/")
    other.goto("/engines/gemma-12b/")
    card = page.get_by_role("article", name="Gemma 3 12B")
    line = other.get_by_role("group", name="gpu-1")

    card.get_by_role("button", name="Pause the download of Gemma 3 12B").click()
    expect(page.get_by_text("Paused. What has arrived stays on the host.")).to_be_visible(
        timeout=PATIENCE_MS
    )
    for shown in (card, line):
        expect(shown.get_by_text("What has arrived stays on gpu-1; resume")).to_be_visible(
            timeout=PATIENCE_MS
        )
        expect(shown.get_by_role("button", name="Pause the download")).to_have_count(
            0, timeout=PATIENCE_MS
        )
        expect(shown.get_by_role("progressbar", name="Arrived")).to_have_js_property(
            "value", 25, timeout=PATIENCE_MS
        )
    assert Plan.objects.get().status == PlanStatus.PAUSED

    line.get_by_role("button", name="Resume the download to gpu-1").click()
    expect(other.get_by_text("The download to gpu-1 goes on from what has")).to_be_visible(
        timeout=PATIENCE_MS
    )
    expect(card.get_by_text("Waits for a worker of gpu-1")).to_be_visible(timeout=PATIENCE_MS)
    Work(plan).report(60, 100)
    for shown in (card, line):
        expect(shown.locator("progress")).to_have_js_property("value", 60, timeout=PATIENCE_MS)
    line.get_by_role("button", name="Pause the download to gpu-1").click()
    expect(card.get_by_role("button", name="Resume the download of")).to_be_visible(
        timeout=PATIENCE_MS
    )
    card.get_by_role("button", name="Cancel the download of Gemma 3 12B").click()
    expect(page.get_by_text("No host is fetching anything.")).to_be_visible(timeout=PATIENCE_MS)
    assert Plan.objects.get().status == PlanStatus.CANCELLED


def test_a_part_that_is_drawn_anew_leaves_no_stream_behind(
    people: People, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    Work(fetch("gemma-12b")).report(25, 100)
    page = signed_in_page(people.operator)
    page.add_init_script(COUNT_STREAMS)
    page.goto("/engines/gemma-12b/")
    line, library = page.get_by_role("group", name="gpu-1"), get_model_library_manager()
    expect(line.locator("progress")).to_have_js_property("value", 25)

    library.pause_download("gemma-12b", host="gpu-1")
    expect(line.get_by_role("button", name="Resume the download")).to_be_visible()
    library.resume_download("gemma-12b", host="gpu-1")
    expect(line.get_by_role("button", name="Pause the download")).to_be_visible()

    page.wait_for_function("streams === 1")


def test_a_download_with_a_keyboard(
    people: People, engines: Engines, signed_in_page: Callable[..., Page]
) -> None:
    page = signed_in_page(people.operator)
    page.goto("/engines/gemma-12b/")
    press(page, "button", "Download to gpu-2")
    expect(page.get_by_text("Gemma 3 12B is on its way to gpu-2.")).to_be_visible()
    press(page, "button", "Cancel the download to gpu-2")
    expect(page.get_by_text("The download to gpu-2 was asked to stop.")).to_be_visible()

    assert Plan.objects.get().status == PlanStatus.CANCELLED
    assert not ModelCopy.objects.filter(status=CopyStatus.DOWNLOADING).exists()
