"""An engine's page: what it tells whom, the way to it, and what operators do with its files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from engines.models import (
    CatalogModel,
    CopyStatus,
    EngineDefault,
    EnginePreference,
    Host,
    HostStatus,
    LoraAdapter,
    ModelCopy,
)
from migrations_app.models import Plan, Step
from migrations_app.states import PlanKind, PlanStatus, StepStatus
from tests.api.roles import Engines, People

Visit = Callable[[User], Client]
NEW = "/engines/qwen-4b/"


def text_of(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content[:2000]
    return str(answer.content.decode())


def test_what_is_not_ones_own_is_not_there(people: People, catalog: Engines, visit: Visit) -> None:
    alice = visit(people.alice)

    for name in ("draft-1b", "reserved-8b", "unknown", "UPPER", "a%00b"):
        assert alice.get(f"/engines/{name}/").status_code == 404
        assert alice.post(f"/engines/{name}/choose/", {"version": "1"}).status_code == 404
        assert alice.post(f"/engines/{name}/files/", {"do": "download"}).status_code == 404
    assert visit(people.curator).get("/engines/draft-1b/").status_code == 200


def test_what_answers_one_is_shown_after_it_is_withdrawn(
    people: People, catalog: Engines, visit: Visit
) -> None:
    CatalogModel.objects.filter(pk=catalog.old.pk).update(published=False)

    assert "It answers you" in text_of(visit(people.alice).get("/engines/llama-8b/"))
    assert visit(people.bob).get("/engines/llama-8b/").status_code == 404
    assert "is retiring" not in text_of(visit(people.alice).get("/engines/settings/"))
    assert "not offered any more" in text_of(visit(people.alice).get("/engines/settings/"))


def test_facts_are_told_and_what_was_written_is_escaped(
    people: People, catalog: Engines, visit: Visit
) -> None:
    CatalogModel.objects.filter(pk=catalog.new.pk).update(description="<b>small</b> & quick")

    text = text_of(visit(people.alice).get(NEW))

    assert "&lt;b&gt;small&lt;/b&gt; &amp; quick" in text
    for fact in ("apache-2.0", "Multilingual", "It was trained to call them", "41 tokens a second"):
        assert fact in text
    assert "Files on hosts" not in text
    assert "Edit the entry" not in text


def test_offices_see_hosts_files_and_the_form(
    people: People, catalog: Engines, visit: Visit
) -> None:
    curator, operator = visit(people.curator), visit(people.operator)

    assert f"/admin/engines/catalogmodel/{catalog.new.pk}/change/" in text_of(curator.get(NEW))
    assert "gpu-1: Fits a GPU" in text_of(curator.get(NEW))
    assert "Files on hosts" not in text_of(curator.get(NEW))
    assert "Files on hosts" in text_of(operator.get(NEW))
    assert "Edit the entry" not in text_of(operator.get(NEW))


def test_the_way_leads_into_the_wizard(people: People, catalog: Engines, visit: Visit) -> None:
    alice = visit(people.alice)
    assert "What would a move mean?" in text_of(alice.get(NEW)), "her adapters have to move along"

    answer = alice.post("/migrate/", {"engine": "qwen-4b"})

    plan = Plan.objects.get()
    assert answer["Location"] == f"/migrate/{plan.pk}/meaning/"
    assert plan.status == PlanStatus.PENDING


def test_who_has_nothing_to_move_chooses_at_once(
    people: People, catalog: Engines, visit: Visit
) -> None:
    bob = visit(people.bob)
    page = bob.get(NEW)
    assert "Use it now" in text_of(page)

    answer = bob.post(f"{NEW}choose/", {"version": str(page.context["way"].version)})

    assert answer["Location"] == "/engines/settings/"
    preference = EnginePreference.objects.get(user=people.bob)
    assert (preference.engine, preference.revision_id) == (
        catalog.new,
        catalog.new.current_revision_id,
    )
    assert "You chose it." in text_of(bob.get("/engines/settings/"))


def test_without_a_file_there_is_no_choosing_at_once(
    people: People, catalog: Engines, visit: Visit
) -> None:
    way = visit(people.bob).get("/engines/gemma-12b/").context["way"]

    assert (way.at_once, way.by_move) == (False, True)


@pytest.mark.parametrize("version", ["7", "", "x", "-1", "٣", "9" * 30])
def test_a_choice_on_an_old_page_is_refused(
    people: People, catalog: Engines, visit: Visit, version: str
) -> None:
    bob = visit(people.bob)
    bob.get(NEW)

    text = text_of(bob.post(f"{NEW}choose/", {"version": version}), 409 if version == "7" else 400)

    assert "Nothing was changed" in text
    assert EnginePreference.objects.get(user=people.bob).engine is None


def test_who_would_leave_adapters_behind_is_refused(
    people: People, catalog: Engines, visit: Visit
) -> None:
    answer = visit(people.alice).post(f"{NEW}choose/", {"version": "1"})

    assert "belong to another engine" in text_of(answer, 409)
    assert EnginePreference.objects.get(user=people.alice).engine == catalog.old
    assert LoraAdapter.objects.filter(status="active").count() == 2


def test_an_embedder_cannot_be_chosen(people: People, catalog: Engines, visit: Visit) -> None:
    bob = visit(people.bob)
    page = bob.get("/engines/minilm/")
    assert "Use it" not in text_of(page)

    answer = bob.post("/engines/minilm/choose/", {"version": str(page.context["way"].version)})

    assert "only embeds" in text_of(answer, 400)
    assert EnginePreference.objects.get(user=people.bob).engine is None


def test_looking_does_nothing(people: People, catalog: Engines, visit: Visit) -> None:
    operator = visit(people.operator)
    for address in (f"{NEW}files/", f"{NEW}choose/"):
        assert operator.get(address)["Location"] == NEW
    assert not Plan.objects.exists()


@pytest.mark.parametrize("wish", ["download", "cancel", "verify", "delete", "trust"])
def test_files_are_for_operators_only(
    people: People, catalog: Engines, visit: Visit, wish: str
) -> None:
    for person in (people.alice, people.curator):
        answer = visit(person).post(f"{NEW}files/", {"do": wish, "host": "gpu-1"})
        assert answer.status_code == 403
        assert "Only an operator" in answer.content.decode()
    assert not Plan.objects.exists()


def test_an_operator_downloads_and_cancels(people: People, catalog: Engines, visit: Visit) -> None:
    operator = visit(people.operator)
    address = "/engines/gemma-12b/"

    sent = operator.post(f"{address}files/", {"do": "download", "host": "gpu-1"})

    plan = Plan.objects.get()
    assert sent["Location"] == address
    assert (plan.kind, plan.status, plan.created_by) == ("download", "in_progress", people.operator)
    page = text_of(operator.get(address))
    assert f'data-live-plan="{plan.pk}"' in page
    assert "Waits for a worker of gpu-1" in page
    later = timezone.now() + timedelta(minutes=5)
    plan.steps.update(ready_at=later, detail="The Hub answered 429.")
    page = text_of(operator.get(address))
    assert "Is tried again later. The Hub answered 429." in page
    operator.post(f"{address}files/", {"do": "cancel", "host": "gpu-1"})
    plan.refresh_from_db()
    assert plan.status == PlanStatus.CANCELLED


def test_what_is_done_on_one_host_leaves_the_other_alone(
    people: People, catalog: Engines, visit: Visit
) -> None:
    operator = visit(people.operator)
    other = Host.objects.create(name="gpu-2", status=HostStatus.ACTIVE, memory_bytes=2**36)
    ModelCopy.objects.create(
        revision=catalog.new.current_revision,  # type: ignore[misc]
        host=other,
        status=CopyStatus.DOWNLOADED,
        path="/m",
        checksum="c",
    )
    for wish in ("verify", "delete"):
        operator.post(f"{NEW}files/", {"do": wish, "host": "gpu-2"})

        plan = Plan.objects.get(kind=wish)
        assert plan.host == other
        Step.objects.filter(plan=plan).delete()
        plan.delete()


def test_a_file_that_is_needed_is_not_deleted(
    people: People, catalog: Engines, visit: Visit
) -> None:
    answer = visit(people.operator).post(
        "/engines/llama-8b/files/", {"do": "delete", "host": "gpu-1"}
    )

    text = text_of(answer, 409)
    assert "1 person" in text
    assert text.index("gpu-1</strong>") < text.index("Nothing was changed"), "beside its host"
    assert not Plan.objects.exists()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"do": "verify", "host": "nowhere"}, 409),
        ({"do": "trust", "host": "gpu-1"}, 409),
        ({"do": "download", "host": "nowhere"}, 404),
        ({"do": "burn", "host": "gpu-1"}, 400),
        ({"do": "verify"}, 400),
        ({}, 400),
    ],
)
def test_what_cannot_be_done_says_so(
    people: People, catalog: Engines, visit: Visit, asked: dict[str, str], status: int
) -> None:
    answer = visit(people.operator).post(f"{NEW}files/", asked)

    assert "Nothing was changed" in text_of(answer, status)
    assert not Plan.objects.exists()


def test_an_unsafe_file_is_trusted_again(people: People, catalog: Engines, visit: Visit) -> None:
    copies = ModelCopy.objects.filter(revision__model=catalog.new)
    copies.update(status=CopyStatus.UNSAFE, error="It crashed.")
    operator = visit(people.operator)
    assert "It crashed." in text_of(operator.get(NEW))

    operator.post(f"{NEW}files/", {"do": "trust", "host": "gpu-1"})

    assert copies.get().status != CopyStatus.UNSAFE


def waiting_download(error: str = "The Hub does not answer.") -> Plan:
    """A download of which an operator is asked."""
    plan = Plan.objects.get(kind=PlanKind.DOWNLOAD)
    Step.objects.filter(plan=plan).update(status=StepStatus.NEEDS_OPERATOR, error=error)
    return plan


def test_downloads_run_wait_and_end(people: People, catalog: Engines, visit: Visit) -> None:
    operator = visit(people.operator)
    operator.post("/engines/gemma-12b/files/", {"do": "download", "host": "gpu-1"})
    plan = waiting_download()
    address = f"/engines/downloads/{plan.pk}/"

    text = text_of(operator.get("/engines/downloads/"))
    assert "The Hub does not answer." in text
    assert "Try again" in text
    operator.post(address, {"do": "retry"})
    assert Step.objects.get(plan=plan).status == StepStatus.PENDING
    again = operator.post(address, {"do": "retry"})
    assert "No step of this plan waits" in text_of(again, 409)

    operator.post(address, {"do": "cancel"})
    assert "Start again" in text_of(operator.get("/engines/downloads/"))
    operator.post(address, {"do": "again"})
    assert Plan.objects.filter(status=PlanStatus.IN_PROGRESS).count() == 1


def test_downloads_are_for_operators_only(people: People, catalog: Engines, visit: Visit) -> None:
    operator = visit(people.operator)
    operator.post("/engines/gemma-12b/files/", {"do": "download", "host": "gpu-1"})
    plan = Plan.objects.get()

    for person in (people.alice, people.curator):
        client = visit(person)
        assert client.get("/engines/downloads/").status_code == 403
        refused = client.post(f"/engines/downloads/{plan.pk}/", {"do": "cancel"})
        assert refused.status_code == 403
        assert "/engines/downloads/" not in text_of(client.get("/engines/"))
    plan.refresh_from_db()
    assert plan.status == PlanStatus.IN_PROGRESS


def test_only_downloads_are_stopped_there(people: People, catalog: Engines, visit: Visit) -> None:
    operator = visit(people.operator)
    operator.post(f"{NEW}files/", {"do": "verify", "host": "gpu-1"})
    plan = Plan.objects.get()

    assert operator.post(f"/engines/downloads/{plan.pk}/", {"do": "cancel"}).status_code == 404
    plan.refresh_from_db()
    assert plan.cancel_requested_at is None


def test_history_has_pages_at_the_cost_of_one(
    people: People, catalog: Engines, visit: Visit, django_assert_num_queries: Any
) -> None:
    operator = visit(people.operator)
    now = timezone.now()

    def made(number: int) -> Plan:
        return Plan(
            kind=PlanKind.DOWNLOAD,
            host=catalog.host,
            to_engine=catalog.new,
            status=PlanStatus.COMPLETED,
            finished_at=now - timedelta(minutes=number),
        )

    def page(number: int = 1) -> Any:
        return operator.get("/engines/downloads/", {"page": number})

    Plan.objects.bulk_create([made(0)])
    page()
    with CaptureQueriesContext(connection) as few:
        page()
    Plan.objects.bulk_create([made(number) for number in range(1, 60)])
    with django_assert_num_queries(len(few)):
        answer = page()
    assert len(answer.context["page"]) == 25
    assert len(page(3).context["page"]) == 10


def test_a_default_answers_until_one_chooses(
    people: People, catalog: Engines, visit: Visit
) -> None:
    EngineDefault.objects.create(engine=catalog.new)
    bob = visit(people.bob)

    page = bob.get(NEW)

    assert "Make it my own choice" in text_of(page)
    bob.post(f"{NEW}choose/", {"version": str(page.context["way"].version)})
    assert EnginePreference.objects.get(user=people.bob).engine == catalog.new
