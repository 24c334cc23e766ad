"""What is refused in each step: the door's own sentence beside the choice, a way out, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from engines.models import CatalogModel, Host, HostStatus, KnowledgeBase, ModelRevision
from engines.services.knowledge.documents import add_document, create_base
from engines.services.people.preferences import EngineChoice, preference_of, write_preference
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.pages.wizard import drafts
from migrations_app.plans.transitions import PlanChange, request_cancel
from migrations_app.states import PlanStatus, StepStatus
from tests.api.roles import GIB, Engines, People, make_model
from tests.pages.wizard.conftest import NEW
from tests.plans.hash_world import all_rows
from tests.worker.plans import make_host

controller = MigrationController()


def page_of(plan: Plan, page: str) -> str:
    return f"/migrate/{plan.pk}/{page}/"


def refused(answer: Any, status: int, sentence: str) -> str:
    """Check that a page refuses with this sentence, as an alert, and return its text."""
    text = str(answer.content.decode())
    assert answer.status_code == status, text[:2000]
    assert 'role="alert"' in text
    assert sentence in text
    assert "Nothing was changed" in text
    return text


def without_previews(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """A preview is counted anew whenever it is looked at."""
    for plan in rows["migrations_app.Plan"]:
        plan.pop("preview")
    return rows


# --- step 1 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "status", "sentence"),
    [
        ("", 404, "No model is called"),
        ("no-such-engine", 404, "No model is called"),
        ("draft-1b", 404, "No model is called"),
        ("reserved-8b", 404, "No model is called"),
        ("minilm", 400, "only embeds; choose an engine that chats."),
        ("llama-8b", 400, "is already the active engine."),
        ("x\0y", 404, "No model is called"),
        ("😀" * 300, 404, "No model is called"),
    ],
)
def test_an_engine_that_cannot_be_chosen(
    alice: Client, engines: Engines, engine: str, status: int, sentence: str
) -> None:
    alice.get("/migrate/")
    before = all_rows()

    refused(alice.post("/migrate/", {"engine": engine}), status, sentence)

    assert all_rows() == before


def test_an_engine_that_fits_nowhere(alice: Client, engines: Engines) -> None:
    ModelRevision.objects.filter(model=engines.new).update(file_size=100 * GIB)
    before = all_rows()

    refused(alice.post("/migrate/", {"engine": NEW}), 400, "fits on no host")

    assert all_rows() == before


def test_no_host_is_there(alice: Client, engines: Engines) -> None:
    Host.objects.update(status=HostStatus.LOST)
    before = all_rows()

    refused(alice.post("/migrate/", {"engine": NEW}), 503, "No host is active")

    assert all_rows() == before


def test_two_choices_at_once_make_one_plan(
    alice: Client, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second tab looks for a draft before the first one has made it."""
    first = drafts.begin_draft(people.alice, NEW, actor=people.alice)
    look = drafts._begun
    seen: list[int] = []

    def look_too_early(*wanted: Any) -> Any:
        seen.append(1)
        return Plan.objects.none() if len(seen) == 1 else look(*wanted)

    monkeypatch.setattr(drafts, "_begun", look_too_early)

    assert drafts.begin_draft(people.alice, NEW, actor=people.alice) == first
    pending = Plan.objects.filter(status=PlanStatus.PENDING)
    assert [plan.migration_id for plan in pending] == [first]


# --- step 3 ---------------------------------------------------------------------------------------


def test_text_without_an_index_cannot_keep_its_embedder(
    alice: Client, people: People, draft: Plan
) -> None:
    base = create_base(owner=people.alice, name="Fresh notes")
    add_document(base.pk, title="Note", text="A text.")
    KnowledgeBase.objects.filter(pk=base.pk).update(live_index=None)
    before = without_previews(all_rows())

    text = refused(alice.post(page_of(draft, "options"), {"when": "now"}), 400, "has no index yet")

    assert "Fresh notes" in text
    assert without_previews(all_rows()) == before


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        ("", "Say when it shall start"),
        ("soon", "Enter a valid date/time."),
        ("2020-01-01T03:00", "has passed; choose a time to come"),
        ("2999-01-01T03:00", "at most a year ahead"),
    ],
)
def test_a_time_that_cannot_be_meant(alice: Client, draft: Plan, at: str, sentence: str) -> None:
    before = without_previews(all_rows())

    answer = alice.post(page_of(draft, "options"), {"when": "later", "at": at, "re_embed": "on"})

    text = answer.content.decode()
    assert sentence in text
    assert at in text, "what was typed is still there"
    assert without_previews(all_rows()) == before


def test_options_of_a_plan_that_was_started_meanwhile(alice: Client, draft: Plan) -> None:
    controller.execute_migration(draft.pk)
    before = all_rows()

    answer = alice.post(page_of(draft, "options"), {"when": "now"}, follow=True)

    assert answer.redirect_chain == [(page_of(draft, "progress"), 302)]
    assert "The plan is in progress already." in answer.content.decode()
    assert all_rows() == before


# --- step 4 ---------------------------------------------------------------------------------------


def withdraw(engines: Engines, people: People) -> None:
    CatalogModel.objects.filter(pk=engines.new.pk).update(published=False)


def reserve(engines: Engines, people: People) -> None:
    engines.new.allowed_groups.set(engines.reserved.allowed_groups.all())


def leave(engines: Engines, people: People) -> None:
    Host.objects.update(status=HostStatus.DRAINING)


def change_engine(engines: Engines, people: People) -> None:
    other = make_model("phi-2b")
    choice = EngineChoice(other, other.current_revision, "phi")
    write_preference(preference_of(people.alice), choice, why="Meanwhile.")


def change_embedder(engines: Engines, people: People) -> None:
    companion = make_model("bge-small", role="embed")
    CatalogModel.objects.filter(pk=engines.new.pk).update(embedding_model=companion)


def start_another(engines: Engines, people: People) -> None:
    other = controller.create_migration_plan("current", NEW, people.alice.pk)
    controller.execute_migration(other)


@pytest.mark.parametrize(
    ("meanwhile", "sentence"),
    [
        (withdraw, "is not offered to alice any more"),
        (reserve, "is not offered to alice any more"),
        (leave, "is draining and takes no new work"),
        (change_engine, "was changed since this plan was made"),
        (change_embedder, "embeds with bge-small now, and with"),
        (start_another, "is in progress here; wait for it or cancel it first"),
    ],
)
@pytest.mark.parametrize("wish", ["start", "now"])
def test_a_start_that_the_world_has_overtaken(
    alice: Client,
    people: People,
    engines: Engines,
    draft: Plan,
    meanwhile: Callable[[Engines, People], None],
    sentence: str,
    wish: str,
) -> None:
    if wish == "now":
        tomorrow = timezone.now() + timedelta(days=1)
        controller.change_migration(draft.pk, PlanChange(not_before=tomorrow))
        controller.execute_migration(draft.pk)
    meanwhile(engines, people)
    before = all_rows()

    text = refused(alice.post(page_of(draft, "confirm"), {"do": wish}), 409, sentence)

    assert all_rows() == before, "a plan that was scheduled stays scheduled"
    assert "Plan it again" in text
    assert "Choose again" in text
    if meanwhile is start_another:
        assert "Look at the plan that runs" in text


@pytest.mark.parametrize("meanwhile", [change_engine, leave, change_embedder])
def test_planning_again_makes_a_plan_of_the_world_as_it_is(
    alice: Client,
    people: People,
    engines: Engines,
    draft: Plan,
    meanwhile: Callable[[Engines, People], None],
) -> None:
    meanwhile(engines, people)
    make_host("other")

    answer = alice.post(page_of(draft, "again"))

    again = Plan.objects.exclude(pk=draft.pk).get()
    assert answer["Location"] == page_of(again, "meaning")
    alice.post(page_of(again, "confirm"), {"do": "start"})
    again.refresh_from_db()
    assert again.status == PlanStatus.IN_PROGRESS


def test_a_plan_that_was_cancelled_meanwhile_is_not_started(alice: Client, draft: Plan) -> None:
    request_cancel(draft.pk, who="another tab")
    before = all_rows()

    answer = alice.post(page_of(draft, "confirm"), {"do": "start"}, follow=True)

    assert answer.redirect_chain == [(page_of(draft, "result"), 302)]
    text = answer.content.decode()
    assert "The plan is cancelled already." in text
    assert "Plan it again" in text
    assert all_rows() == before


# --- step 5 and the result ------------------------------------------------------------------------


def switch(plan: Plan) -> None:
    plan.steps.filter(position__lte=4).update(status=StepStatus.COMPLETED)


def test_after_the_switch_there_is_no_cancel(alice: Client, draft: Plan) -> None:
    controller.execute_migration(draft.pk)
    switch(draft)
    before = all_rows()
    assert "Cancel the move" not in alice.get(page_of(draft, "progress")).content.decode()

    refused(
        alice.post(page_of(draft, "progress"), {"do": "cancel"}),
        409,
        "roll the plan back instead of cancelling it",
    )

    assert all_rows() == before


@pytest.mark.parametrize("wish", ["retry", "abandon", "move"])
def test_what_operators_do_is_not_done_by_others(
    alice: Client, people: People, draft: Plan, visit: Callable[[User], Client], wish: str
) -> None:
    controller.execute_migration(draft.pk)
    draft.steps.filter(position=0).update(status=StepStatus.NEEDS_OPERATOR, error="It broke.")
    before = all_rows()
    text = alice.get(page_of(draft, "progress")).content.decode()
    assert "An operator is asked" in text
    assert "It broke." in text
    assert f'value="{wish}"' not in text

    alice.post(page_of(draft, "progress"), {"do": wish})

    assert all_rows() == before
    assert (
        f'value="{wish}"' in visit(people.operator).get(page_of(draft, "progress")).content.decode()
    )


def test_an_operator_tries_a_step_again(
    alice: Client, people: People, draft: Plan, visit: Callable[[User], Client]
) -> None:
    controller.execute_migration(draft.pk)
    draft.steps.filter(position=0).update(status=StepStatus.NEEDS_OPERATOR, error="It broke.")

    visit(people.operator).post(page_of(draft, "progress"), {"do": "retry"})

    assert draft.steps.get(position=0).status == StepStatus.PENDING


@pytest.mark.parametrize(
    ("until", "sentence"),
    [
        (timedelta(seconds=-1), "The old index was let go when its retention ended"),
        (timedelta(days=1), "A later plan"),
    ],
)
def test_what_cannot_be_taken_back_any_more(
    alice: Client, people: People, draft: Plan, until: timedelta, sentence: str
) -> None:
    now = timezone.now()
    done = {"status": PlanStatus.COMPLETED, "switched": {"version": 2}, "finished_at": now}
    Plan.objects.filter(pk=draft.pk).update(**done, retention_until=now + until)
    if until > timedelta():
        later = controller.create_migration_plan("current", NEW, people.alice.pk)
        after = now + timedelta(seconds=5)
        Plan.objects.filter(pk=later).update(**{**done, "finished_at": after})
    before = all_rows()
    text = alice.get(page_of(draft, "result")).content.decode()
    assert "Take it back" not in text

    refused(alice.post(page_of(draft, "result")), 409, sentence)

    assert all_rows() == before


def test_without_both_engines_on_a_host_nothing_is_asked(alice: Client, draft: Plan) -> None:
    text = alice.get(page_of(draft, "try")).content.decode()
    assert "Both engines have to be on a host that is up" in text

    answer = alice.post(page_of(draft, "try"), {"question": "Where?"})

    assert "Both engines have to be on a host that is up" in answer.content.decode()
