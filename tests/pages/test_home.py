"""Home: what answers me, what is running, what needs me; nothing of anybody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from engines.models import Document, KnowledgeBase
from migrations_app.models import Plan, Step
from migrations_app.states import PlanKind, PlanStatus, StepStatus
from tests.api.roles import Engines, People, make_default, make_plan, use_engine
from tests.people.test_indicator import leave_adapter, make_running, put_on_host

HTMX = {"HX-Request": "true"}


@pytest.fixture
def home(people: People, engines: Engines) -> Client:
    put_on_host(engines, engines.old, engines.new)
    client = Client()
    client.force_login(people.alice)
    return client


def html_of(client: Client, address: str = "/", **options: Any) -> str:
    answer = client.get(address, **options)
    assert answer.status_code == 200
    return answer.content.decode()


def make_step(plan: Plan, position: int = 0, **fields: Any) -> Step:
    running = {"fence": 1, "lease_until": timezone.now() + timedelta(hours=1)}
    return Step.objects.create(
        plan=plan, position=position, **{"kind": "probe", **running, **fields}
    )


def test_strangers_sign_in_and_come_back(db: None) -> None:
    assert Client().get("/")["Location"] == "/accounts/login/?next=%2F"


def test_a_part_of_a_page_sends_the_whole_browser_to_sign_in(db: None) -> None:
    answer = Client().get("/", headers={**HTMX, "HX-Current-URL": "http://testserver/?a=1"})

    assert answer["HX-Redirect"] == "/accounts/login/?next=%2F%3Fa%3D1"


def test_a_first_day_says_what_to_do(home: Client) -> None:
    html = html_of(home)

    assert "Choose your engine" in html
    assert "Needs you" not in html


def test_ones_engine_is_named_on_every_page(home: Client, people: People, engines: Engines) -> None:
    make_default(engines.old)

    assert "LLAMA-8B" in html_of(home)
    assert "The default of your organisation" in html_of(home)
    User.objects.filter(pk=people.alice.pk).update(is_staff=True)
    assert "LLAMA-8B" in html_of(home, "/styleguide/")


def test_a_running_plan_is_shown_and_asked_for_again(
    home: Client, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    plan = make_running(people.alice, engines)
    make_step(plan, status=StepStatus.IN_PROGRESS, progress=0.5, detail="12 of 24 passages")

    whole, part = html_of(home), html_of(home, headers=HTMX)

    assert f'data-live-plan="{plan.pk}"' in whole
    assert "every " not in whole
    assert "Move to QWEN-4B" in whole
    assert "Prove the new engine" in whole
    assert "12 of 24 passages" in whole
    assert "<html" in whole
    assert "<html" not in part
    assert "12 of 24 passages" in part


def test_what_waits_for_the_person_is_listed_once_each(
    home: Client, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    make_plan(people.alice, engines)
    leave_adapter(people.alice, engines, "style")
    plan = make_running(people.alice, engines)
    make_step(plan, status=StepStatus.NEEDS_OPERATOR, error="The host is gone; move it.")

    html = html_of(home)

    assert html.count('class="need ') == 3
    assert "Move to QWEN-4B?" in html
    assert "Stopped: Move to QWEN-4B" in html
    assert "The host is gone; move it." in html
    assert "“style” was trained for another engine" in html


def test_a_plan_with_a_time_does_not_ask_again(
    home: Client, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    plan = make_plan(people.alice, engines)
    assert "Needs you" in html_of(home)

    Plan.objects.filter(pk=plan.pk).update(
        confirmed_at=timezone.now(), not_before=timezone.now() + timedelta(hours=6)
    )

    html = html_of(home)
    assert "Needs you" not in html
    assert "Starts by itself on <time" in html


def test_an_engine_that_was_withdrawn_is_told(
    home: Client, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    assert "Your engine is retiring" not in html_of(home)

    engines.old.published = False
    engines.old.save()

    assert "Your engine is retiring" in html_of(home)


def test_a_way_back_has_a_date_until_it_ends(
    home: Client, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.new)
    plan = make_running(people.alice, engines)
    done = Plan.objects.filter(pk=plan.pk)
    ends = timezone.now() + timedelta(days=9)
    done.update(status=PlanStatus.COMPLETED, finished_at=timezone.now(), retention_until=ends)
    assert "go back to LLAMA-8B" in html_of(home)

    done.update(retention_until=timezone.now() - timedelta(minutes=1))

    assert "go back to LLAMA-8B" not in html_of(home)


def test_nothing_of_others_is_shown(home: Client, people: People, engines: Engines) -> None:
    make_default(engines.old)
    theirs = make_running(people.bob, engines)
    leave_adapter(people.bob, engines, "bobs")

    html = html_of(home)

    assert "QWEN-4B" not in html
    assert "bobs" not in html
    assert home.get(f"/migrate/{theirs.pk}/").status_code == 404


def test_names_of_others_choosing_stay_text(home: Client, people: People, engines: Engines) -> None:
    engines.old.display_name = "<img src=x onerror=alert(1)>"
    engines.old.save()
    use_engine(people.alice, engines.old)
    leave_adapter(people.alice, engines, "a<b>")

    html = html_of(home)

    assert "<img src=x" not in html
    assert "a<b>" not in html


def test_it_costs_the_same_with_many_plans(
    home: Client, people: People, engines: Engines, django_assert_max_num_queries: Any
) -> None:
    use_engine(people.alice, engines.old)
    make_step(make_running(people.alice, engines), status=StepStatus.IN_PROGRESS)
    leave_adapter(people.alice, engines, "first")
    make_plan(people.alice, engines)
    html_of(home)
    with django_assert_max_num_queries(20) as few:
        html_of(home)
    for number in range(15):
        make_plan(people.alice, engines)
        leave_adapter(people.alice, engines, f"a {number}")
        download = Plan.objects.create(
            kind=PlanKind.DOWNLOAD,
            created_by=people.alice,
            host=engines.host,
            to_engine=engines.new,
            status=PlanStatus.IN_PROGRESS,
        )
        make_step(download, kind="download", status=StepStatus.IN_PROGRESS)
        base = KnowledgeBase.objects.create(owner=people.alice, name=f"Base {number}")
        Document.objects.create(base=base, title="D", text="t", sha256="0" * 64)

    with django_assert_max_num_queries(len(few.captured_queries)):
        html_of(home)


def test_a_plan_is_read_by_who_made_it_and_whom_it_is_about(
    home: Client, people: People, engines: Engines
) -> None:
    made = make_running(people.bob, engines, created_by=people.alice)
    make_step(made, status=StepStatus.FAILED, error="The disk is full; free 2 GB.")

    html = html_of(home, f"/migrate/{made.pk}/")

    assert "Move bob to QWEN-4B" in html
    assert "The disk is full; free 2 GB." in html


@pytest.mark.parametrize("address", ["/engines/", "/migrate/"])
def test_where_no_engine_is_there_each_is_told_what_they_can_do(
    people: People, visit: Callable[[User], Client], address: str
) -> None:
    assert "A curator publishes engines in the catalog" in html_of(visit(people.alice), address)
    for is_staff in (False, True):
        people.curator.is_staff = is_staff
        people.curator.save()
        html = html_of(visit(people.curator), address)
        assert "sam catalog starter" in html
        assert ('href="/admin/engines/catalogmodel/"' in html) is is_staff


def test_an_empty_chat_without_an_engine_leads_to_the_choice(
    people: People, engines: Engines, visit: Callable[[User], Client]
) -> None:
    none = "No engine answers you yet"

    assert none in html_of(visit(people.alice), "/chat/")
    use_engine(people.alice, engines.old)
    assert none not in html_of(visit(people.alice), "/chat/")
