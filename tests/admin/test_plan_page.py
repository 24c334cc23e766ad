"""The page of one plan: what its kind has, in plain words, and buttons that go through the controller."""

from __future__ import annotations

import re

from django.test import Client

from migrations_app.models import Plan
from migrations_app.plans.planning import plan_for_file
from migrations_app.states import PlanKind, PlanStatus
from tests.admin.test_admin import (
    PLANS,
    asked,
    curator,
    engines,
    operator,
    people,
    queries,
)
from tests.api.roles import Engines, People, make_plan

__all__ = ["curator", "engines", "operator", "people"]

FACT = re.compile(r"<dt>([^<]+)</dt>")


def page_of(client: Client, plan: Plan) -> str:
    return client.get(f"{PLANS}{plan.pk}/change/").content.decode()


def ask(client: Client, plan: Plan, action: str) -> list[str]:
    answer = client.post(f"{PLANS}{plan.pk}/ask/{action}/", follow=True)
    assert answer.status_code == 200
    return [str(message) for message in answer.context["messages"]]


def test_a_plan_about_a_file_shows_nothing_of_plans_about_people(
    operator: Client, engines: Engines
) -> None:
    assert engines.new.current_revision is not None
    plan = plan_for_file(PlanKind.DOWNLOAD, engines.new.current_revision, engines.host, actor=None)

    page = page_of(operator, plan)

    assert "Download QWEN-4B to gpu-1" in page
    assert FACT.findall(page) == ["Model", "Commit", "Size", "Host"]


def test_a_migration_shows_its_options_in_words(
    operator: Client, people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    Plan.objects.filter(pk=plan.pk).update(backup_lora_adapters=False, re_embed_knowledge=False)

    page = page_of(operator, plan)

    assert "without adapters" in page
    assert "stays with the old embedder" in page
    assert "those of the new family" in page


def test_a_button_asks_the_controller_under_the_name_of_who_pressed_it(
    operator: Client, people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)

    assert ask(operator, plan, "execute") == ["Move alice to QWEN-4B: started."]

    plan.refresh_from_db()
    assert plan.status == PlanStatus.IN_PROGRESS
    assert plan.events.get().who == "oscar"
    assert asked(operator, plan) == ["cancel", "move"]


def test_what_a_plan_refuses_changes_nothing(
    operator: Client, people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)

    assert "No step of this plan waits for an operator." in ask(operator, plan, "retry")[0]
    assert operator.post(f"{PLANS}{plan.pk}/ask/erase/").status_code == 404
    assert operator.get(f"{PLANS}{plan.pk}/ask/execute/").status_code == 403

    plan.refresh_from_db()
    assert plan.status == PlanStatus.PENDING
    assert not plan.events.exists()


def test_a_curator_neither_sees_nor_moves_plans(
    curator: Client, people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)

    for path in ("change/", "live/"):
        assert curator.get(f"{PLANS}{plan.pk}/{path}").status_code == 403
    assert curator.post(f"{PLANS}{plan.pk}/ask/execute/").status_code == 403

    plan.refresh_from_db()
    assert plan.status == PlanStatus.PENDING


def test_an_open_plan_asks_for_news_and_one_that_ended_does_not(
    operator: Client, people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    Plan.objects.filter(pk=plan.pk).update(progress_percentage=41)
    live = f"{PLANS}{plan.pk}/live/"

    assert f'hx-get="{live}"' in page_of(operator, plan)
    assert 'value="41.0"' in operator.get(live).content.decode()

    ask(operator, plan, "cancel")
    assert f'hx-get="{live}"' not in operator.get(live).content.decode()


def test_a_page_asks_as_often_for_many_events_as_for_few(
    operator: Client, people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    ask(operator, plan, "execute")
    pages = [f"{PLANS}{plan.pk}/change/", f"{PLANS}{plan.pk}/live/"]
    few = [queries(operator, page) for page in pages]

    for step in plan.steps.all():
        for _ in range(5):
            plan.events.create(to_status="pending", who="x", step=step)

    assert [queries(operator, page) for page in pages] == few
