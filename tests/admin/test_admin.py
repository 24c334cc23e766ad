from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from engines.models import CatalogModel, Document, KnowledgeBase, LoraAdapter
from migrations_app.models import Plan
from migrations_app.states import PlanStatus, StepStatus
from tests.api.roles import (
    Engines,
    People,
    make_engines,
    make_model,
    make_people,
    make_plan,
    use_engine,
)

PLANS = "/admin/migrations_app/plan/"
CATALOG = "/admin/engines/catalogmodel/"
BASES = "/admin/engines/knowledgebase/"


@pytest.fixture
def people(db: None) -> People:
    found = make_people()
    User.objects.exclude(username__in=["alice", "bob"]).update(is_staff=True)
    return found


@pytest.fixture
def engines(db: None) -> Engines:
    return make_engines()


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator(people: People) -> Client:
    return signed_in(people.operator)


@pytest.fixture
def curator(people: People) -> Client:
    return signed_in(people.curator)


def act(client: Client, page: str, action: str, rows: list[Any], **more: Any) -> str:
    keys = [str(row.pk) for row in rows]
    answer = client.post(page, {"action": action, "_selected_action": keys, **more}, follow=True)
    assert answer.status_code == 200
    return " ".join(str(message) for message in answer.context["messages"])


def test_a_curator_publishes_unpublishes_and_exports(curator: Client, engines: Engines) -> None:
    said = act(curator, CATALOG, "unpublish", [engines.old, engines.new, engines.hidden])
    assert said == "2 models are now unpublished."
    assert set(CatalogModel.objects.filter(published=True).values_list("model_id", flat=True)) == {
        "minilm",
        "reserved-8b",
    }

    keys = [str(engines.embedder.pk), str(engines.old.pk)]
    answer = curator.post(CATALOG, {"action": "export_json", "_selected_action": keys})
    assert list(json.loads(answer.content)["models"]) == ["minilm", "llama-8b"]


def test_the_form_is_as_strict_as_the_api(curator: Client, engines: Engines) -> None:
    page = curator.get(f"{CATALOG}{engines.old.pk}/change/")
    fields = page.context["adminform"].form.initial
    filled = {k: v for k, v in fields.items() if v not in (None, [])}
    filled |= {"tags": "[]", "filename": "../../etc/passwd", "embedding_model": engines.embedder.pk}

    answer = curator.post(f"{CATALOG}{engines.old.pk}/change/", filled)

    assert list(answer.context["adminform"].form.errors) == ["filename"]
    assert CatalogModel.objects.get(model_id="llama-8b").filename == "llama-8b.gguf"


def test_an_operator_reads_the_catalog_and_downloads_to_a_host(
    operator: Client, engines: Engines
) -> None:
    said = act(operator, CATALOG, "download", [engines.old, engines.new], host="gpu-1")

    assert said == "2 downloads started."
    assert Plan.objects.filter(kind="download", status="in_progress").count() == 2
    answer = operator.post(f"{CATALOG}{engines.old.pk}/change/", {"published": ""})
    assert answer.status_code == 403


def test_actions_keep_to_legal_moves_and_tell_what_was_refused(
    operator: Client, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    pending, failed = (make_plan(people.alice, engines) for _ in range(2))
    Plan.objects.filter(pk=failed.pk).update(status=PlanStatus.FAILED)

    said = act(operator, PLANS, "execute", [pending, failed])

    assert "1 plan started." in said
    assert str(failed.pk) in said
    assert set(Plan.objects.values_list("pk", "status")) == {
        (pending.pk, "in_progress"),
        (failed.pk, "failed"),
    }
    assert pending.events.get().who == "oscar"


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("cancel", "1 plan asked to stop"),
        ("roll_back", "only a completed one"),
        ("retry", "No step of this plan"),
        ("abandon", "cancel it instead"),
    ],
)
def test_each_action_calls_the_controller(
    operator: Client, people: People, engines: Engines, action: str, said: str
) -> None:
    plan = make_plan(people.alice, engines)

    assert said in act(operator, PLANS, action, [plan])


def offered(client: Client, page: str) -> set[str]:
    form = client.get(page).context["action_form"]
    return {name for name, _label in form.fields["action"].choices if name}


def asked(client: Client, plan: Plan) -> list[str]:
    """What the page of a plan has buttons for."""
    page = client.get(f"{PLANS}{plan.pk}/change/").content.decode()
    return re.findall(rf'action="{PLANS}{plan.pk}/ask/([a-z_]+)/"', page)


def test_only_what_a_plan_of_the_page_allows_is_offered(
    operator: Client, people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    assert offered(operator, PLANS) == {"execute", "cancel", "move"}
    assert asked(operator, plan) == ["execute", "cancel", "move"]

    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.FAILED)

    assert offered(operator, PLANS) == set()
    assert asked(operator, plan) == []
    page = operator.get(f"{PLANS}{plan.pk}/change/").content.decode()
    assert "Nothing can be done with it any more." in page


def test_a_switched_plan_is_abandoned_and_shows_its_warning(
    operator: Client, people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    act(operator, PLANS, "execute", [plan])
    plan.steps.filter(position__lt=5).update(status=StepStatus.COMPLETED)

    assert act(operator, PLANS, "abandon", [plan]) == "1 plan abandoned."

    page = operator.get(f"{PLANS}{plan.pk}/change/").content.decode()
    assert "What follows the switch was abandoned" in page


def test_a_waiting_step_is_retried(operator: Client, people: People, engines: Engines) -> None:
    plan = make_plan(people.alice, engines)
    act(operator, PLANS, "execute", [plan])
    plan.steps.filter(position=0).update(status=StepStatus.NEEDS_OPERATOR)

    assert act(operator, PLANS, "retry", [plan]) == "1 plan retried."
    assert plan.steps.get(position=0).status == StepStatus.PENDING


def test_a_plan_shows_its_steps_and_events_and_cannot_be_edited(
    operator: Client, people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    act(operator, PLANS, "execute", [plan])

    page = operator.get(f"{PLANS}{plan.pk}/change/").content.decode()

    assert "Move alice to QWEN-4B" in page
    assert "Fetch the engine" in page
    assert f'<time datetime="{plan.created_at.isoformat()}"' in page
    assert "Started." in page
    assert "fetch_engine" not in page.replace(f"{plan.pk}.fetch_engine.1", "")
    assert "in_progress" not in page
    assert operator.post(f"{PLANS}{plan.pk}/change/", {"status": "completed"}).status_code == 403
    assert operator.get(f"{PLANS}add/").status_code == 403
    assert operator.post(f"{PLANS}{plan.pk}/delete/", {"post": "yes"}).status_code == 403


def test_nobodys_content_is_shown(operator: Client, people: People, engines: Engines) -> None:
    use_engine(people.alice, engines.old)
    base = KnowledgeBase.objects.create(owner=people.alice, name="very secret")
    Document.objects.create(base=base, title="very secret", text="very secret", sha256="0" * 64)
    assert engines.old.current_revision is not None
    LoraAdapter.objects.create(
        user=people.alice,
        name="very secret",
        base_revision=engines.old.current_revision,
        artifact_key="k",
        sha256="a",
        file_size=1,
    )
    plan = make_plan(people.alice, engines)

    for page in (BASES, PLANS, f"{PLANS}{plan.pk}/change/", "/admin/"):
        answer = operator.get(page)
        assert answer.status_code == 200
        assert "very secret" not in answer.content.decode()
    assert operator.get(f"{BASES}{base.pk}/change/").status_code == 403
    for noun in ("document", "chunk", "message", "conversation", "userprompts", "loraadapter"):
        assert operator.get(f"/admin/engines/{noun}/").status_code == 404


def test_who_has_no_role_sees_nothing(people: People, engines: Engines) -> None:
    User.objects.filter(username="alice").update(is_staff=True)
    alice = signed_in(User.objects.get(username="alice"))

    for page in (PLANS, CATALOG, BASES, "/admin/engines/host/"):
        assert alice.get(page).status_code == 403


def queries(client: Client, page: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(page).status_code == 200
    return len(captured)


def test_lists_and_pages_ask_as_often_for_many_rows_as_for_few(
    operator: Client, people: People, engines: Engines
) -> None:
    plan = make_plan(people.alice, engines)
    pages = [PLANS, CATALOG, BASES, "/admin/engines/host/", f"{PLANS}{plan.pk}/change/"]
    KnowledgeBase.objects.create(owner=people.alice, name="1")
    few = [queries(operator, page) for page in pages]

    for number in range(8):
        make_plan(people.bob, engines)
        make_model(f"model-{number}")
        KnowledgeBase.objects.create(owner=people.bob, name="x")
        plan.events.create(to_status="pending", who="x", step=plan.steps.first())

    assert [queries(operator, page) for page in pages] == few


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_every_field_of_a_form_is_seen(people: People, model: type[Model]) -> None:
    people.administrator.is_superuser = True
    people.administrator.save()
    address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/add/"

    answer = signed_in(people.administrator).get(address)

    if answer.status_code == 403:
        return
    boxes = re.findall(
        r'<input type="(?:text|number|email|url)"[^>]*>|<textarea[^>]*>', answer.content.decode()
    )
    assert [box for box in boxes if "border" not in box] == []
