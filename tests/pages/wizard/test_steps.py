"""Each step of the wizard as the server answers it: what it shows, where it leads, what stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from engines.models import CatalogModel, KnowledgeBase, LoraAdapter, ModelRevision
from engines.services.knowledge.documents import add_document
from engines.services.people.usage import RequestKind, add_usage
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.plans.titles import title_for
from migrations_app.plans.transitions import PlanChange
from migrations_app.states import PlanKind, PlanStatus
from tests.api.roles import GIB, Engines, People, client_of
from tests.pages.wizard.conftest import NEW

controller = MigrationController()


def page_of(plan: Plan, page: str) -> str:
    return f"/migrate/{plan.pk}/{page}/"


def test_choosing_shows_what_may_be_used_and_marks_ones_own(alice: Client) -> None:
    page = alice.get("/migrate/")

    text = page.content.decode()
    assert page.status_code == 200
    assert "Answers you now" in text
    assert 'value="qwen-4b"' in text
    assert 'value="llama-8b"' not in text, "one's own engine is no choice"
    assert "DRAFT-1B" not in text
    assert "RESERVED-8B" not in text


def test_what_does_not_fit_says_why_and_cannot_be_chosen(alice: Client, engines: Engines) -> None:
    ModelRevision.objects.filter(model=engines.new).update(file_size=100 * GIB)

    text = alice.get("/migrate/").content.decode()

    assert "It needs 120.0 GiB; the largest host has 57.6 GiB for engines." in text
    assert 'value="qwen-4b"' not in text


def test_a_recommendation_says_why(alice: Client, engines: Engines) -> None:
    CatalogModel.objects.filter(pk=engines.new.pk).update(recommended=True)

    page = alice.get("/migrate/")

    choices = page.context["choices"]
    assert choices.recommended.model == engines.new
    assert choices.why_recommended.startswith("Recommended by your organisation")


def test_searching_finds_and_says_when_there_is_nothing(alice: Client) -> None:
    assert 'value="qwen-4b"' in alice.get("/migrate/", {"q": "qwen"}).content.decode()
    assert "No engine is called that" in alice.get("/migrate/", {"q": "x\0yz"}).content.decode()


def test_a_part_of_the_page_is_sent_to_htmx(alice: Client) -> None:
    page = alice.get("/migrate/", {"q": "qwen"}, headers={"HX-Request": "true"})

    text = page.content.decode().strip()
    assert text.startswith("<div")
    assert "<html" not in text


def test_a_choice_makes_a_plan_and_changes_nothing_else(alice: Client, people: People) -> None:
    answer = alice.post("/migrate/", {"engine": NEW})

    plan = Plan.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, page_of(plan, "meaning"))
    assert (plan.status, plan.user, plan.created_by) == ("pending", people.alice, people.alice)
    assert plan.started_at is None


def test_sending_a_choice_twice_makes_one_plan(alice: Client) -> None:
    first = alice.post("/migrate/", {"engine": NEW})
    second = alice.post("/migrate/", {"engine": NEW})

    assert first["Location"] == second["Location"]
    assert Plan.objects.count() == 1


def test_what_was_begun_is_found_again(alice: Client, draft: Plan) -> None:
    text = alice.get("/migrate/").content.decode()
    assert f'href="/migrate/{draft.pk}/"' in text

    assert alice.get(f"/migrate/{draft.pk}/")["Location"] == page_of(draft, "meaning")


def test_the_meaning_names_what_stops(
    alice: Client, people: People, engines: Engines, draft: Plan
) -> None:
    assert engines.old.current_revision is not None
    LoraAdapter.objects.create(
        user=people.alice,
        name="<b>my style</b>",
        base_revision=engines.old.current_revision,
        artifact_key="adapters/aa/x",
        sha256="a" * 64,
        file_size=10,
    )

    text = alice.get(page_of(draft, "meaning")).content.decode()

    assert "1 adapter stops working" in text
    assert "&lt;b&gt;my style&lt;/b&gt;" in text
    assert "There is no knowledge to move" in text
    assert "It runs on gpu-1" in text


def test_the_meaning_names_what_one_uses_and_the_new_engine_lacks(
    alice: Client, people: People, engines: Engines, draft: Plan
) -> None:
    CatalogModel.objects.filter(pk=engines.new.pk).update(context_length=1000)
    add_usage(people.alice.pk, 4000, 500, RequestKind(fills_context=True))

    text = alice.get(page_of(draft, "meaning")).content.decode()
    own = client_of(people.alice).get(f"/api/v1/plans/{draft.pk}/preview").json()
    operators = client_of(people.operator).get(f"/api/v1/plans/{draft.pk}/preview").json()

    assert "What you use and QWEN-4B lacks" in text
    assert "Your longest request in the last 30 days had 4,500 tokens." in text
    assert own["lost_uses"][0] in text
    assert "lost_uses" not in operators


def test_options_are_kept_and_lead_to_the_summary(alice: Client, draft: Plan) -> None:
    page = alice.get(page_of(draft, "options"))
    assert page.context["form"].initial["when"] == "now"

    answer = alice.post(page_of(draft, "options"), {"backup_lora": "on", "when": "now"})

    draft.refresh_from_db()
    assert answer["Location"] == page_of(draft, "confirm")
    chosen = (draft.backup_lora_adapters, draft.re_embed_knowledge, draft.update_prompt_templates)
    assert chosen == (True, False, False)
    assert draft.events.get().who == "alice"


def test_a_time_is_read_in_the_readers_zone(alice: Client, draft: Plan) -> None:
    # Tomorrow's half past three in Tokyo is past where today's evening has come.
    day = timezone.now() + timedelta(days=2)
    sent = {"when": "later", "at": f"{day:%FT}03:30", "zone": "Asia/Tokyo", "re_embed": "on"}

    alice.post(page_of(draft, "options"), sent)

    draft.refresh_from_db()
    assert draft.not_before is not None
    assert f"{draft.not_before:%H:%M}" == "18:30"
    assert alice.get(page_of(draft, "options")).context["form"].initial["when"] == "later"


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../../etc/passwd", "/etc/passwd", "America"])
def test_a_zone_that_is_none_is_utc(alice: Client, draft: Plan, zone: str) -> None:
    tomorrow = timezone.now() + timedelta(days=1)

    alice.post(
        page_of(draft, "options"), {"when": "later", "at": f"{tomorrow:%FT}03:30", "zone": zone}
    )

    draft.refresh_from_db()
    assert draft.not_before is not None
    assert f"{draft.not_before:%H:%M}" == "03:30"


def test_the_summary_starts_the_plan(alice: Client, draft: Plan) -> None:
    text = alice.get(page_of(draft, "confirm")).content.decode()
    assert "Move now" in text
    assert "For 14 days you can take it back" in text

    answer = alice.post(page_of(draft, "confirm"), {"do": "start"})

    draft.refresh_from_db()
    assert draft.status == PlanStatus.IN_PROGRESS
    assert answer["Location"] == page_of(draft, "progress")
    assert list(draft.events.values_list("who", "why")) == [("alice", "Started.")]


def test_confirming_twice_starts_once(alice: Client, draft: Plan) -> None:
    alice.post(page_of(draft, "confirm"), {"do": "start"})
    again = alice.post(page_of(draft, "confirm"), {"do": "start"})

    assert again["Location"] == page_of(draft, "progress")
    assert draft.events.filter(why="Started.").count() == 1


def test_a_scheduled_plan_can_be_started_now_or_left_without_a_time(
    alice: Client, draft: Plan
) -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    controller.change_migration(draft.pk, PlanChange(not_before=tomorrow))
    answer = alice.post(page_of(draft, "confirm"), {"do": "start"})
    assert answer["Location"] == page_of(draft, "confirm")
    assert alice.get(f"/migrate/{draft.pk}/")["Location"] == page_of(draft, "confirm")
    assert "is scheduled" in alice.get(page_of(draft, "confirm")).content.decode()

    alice.post(page_of(draft, "confirm"), {"do": "unschedule"})
    draft.refresh_from_db()
    assert (draft.confirmed_at, draft.not_before, draft.status) == (None, None, "pending")

    controller.change_migration(draft.pk, PlanChange(not_before=tomorrow))
    controller.execute_migration(draft.pk)
    alice.post(page_of(draft, "confirm"), {"do": "now"})
    draft.refresh_from_db()
    assert draft.status == PlanStatus.IN_PROGRESS


def test_progress_shows_each_step_and_a_way_to_stop(alice: Client, draft: Plan) -> None:
    controller.execute_migration(draft.pk)

    page = alice.get(page_of(draft, "progress"))

    text = page.content.decode()
    assert [line.name for line in page.context["lines"]][:2] == ["Fetch the engine", "Back up"]
    assert "Cancel the move" in text
    assert f'data-live-plan="{draft.pk}"' in text

    answer = alice.post(page_of(draft, "progress"), {"do": "cancel"})
    draft.refresh_from_db()
    assert draft.status == PlanStatus.CANCELLED
    assert answer["Location"] == page_of(draft, "result")
    assert "Nothing was changed." in alice.get(page_of(draft, "result")).content.decode()


@pytest.mark.parametrize(
    ("status", "leads_to"),
    [
        (PlanStatus.PENDING, "meaning"),
        (PlanStatus.IN_PROGRESS, "progress"),
        (PlanStatus.COMPLETED, "result"),
        (PlanStatus.FAILED, "result"),
        (PlanStatus.CANCELLED, "result"),
        (PlanStatus.ROLLED_BACK, "result"),
    ],
)
def test_every_page_leads_to_where_the_plan_is(
    alice: Client, draft: Plan, status: PlanStatus, leads_to: str
) -> None:
    Plan.objects.filter(pk=draft.pk).update(status=status, finished_at=timezone.now())
    pending = {"meaning", "options", "confirm"}
    shown = pending if status == PlanStatus.PENDING else {leads_to}

    for name in ("meaning", "options", "confirm", "progress", "result"):
        page = alice.get(page_of(draft, name))
        expected = 200 if name in shown else 302
        assert page.status_code == expected, name
        if expected == 302:
            assert page["Location"] == page_of(draft, leads_to)
    assert alice.get(f"/migrate/{draft.pk}/")["Location"] == page_of(draft, leads_to)


def test_somebody_elses_plan_is_not_there(
    draft: Plan, people: People, visit: Callable[[User], Client]
) -> None:
    bob = visit(people.bob)

    for name in ("meaning", "options", "confirm", "progress", "result", "try"):
        assert bob.get(page_of(draft, name)).status_code == 404
    for name in ("options", "confirm", "progress", "result", "drop", "again", "try"):
        assert bob.post(page_of(draft, name), {"do": "start"}).status_code == 404
    assert Plan.objects.get().status == PlanStatus.PENDING


def test_who_is_not_signed_in_signs_in_and_comes_back(draft: Plan) -> None:
    answer = Client().get(page_of(draft, "meaning"))

    assert answer.status_code == 302
    assert "login" in answer["Location"]
    assert str(draft.pk) in answer["Location"]


def test_dropping_a_plan_leads_back_to_the_choice(alice: Client, draft: Plan) -> None:
    answer = alice.post(page_of(draft, "drop"))

    draft.refresh_from_db()
    assert (answer["Location"], draft.status) == ("/migrate/", PlanStatus.CANCELLED)
    assert f'href="/migrate/{draft.pk}/"' not in alice.get("/migrate/").content.decode()


def test_a_get_changes_nothing(alice: Client, draft: Plan) -> None:
    for name in ("drop", "again"):
        assert alice.get(page_of(draft, name)).status_code == 405
    assert Plan.objects.get().status == PlanStatus.PENDING


def test_an_operator_plans_for_somebody_else_without_seeing_what_is_theirs(
    draft: Plan, people: People, engines: Engines, visit: Callable[[User], Client]
) -> None:
    assert engines.old.current_revision is not None
    LoraAdapter.objects.create(
        user=people.alice,
        name="a secret style",
        base_revision=engines.old.current_revision,
        artifact_key="adapters/aa/x",
        sha256="a" * 64,
        file_size=10,
    )
    oscar = visit(people.operator)
    assert "For whom" in oscar.get("/migrate/").content.decode()

    answer = oscar.post("/migrate/", {"engine": NEW, "person": "alice"})
    plan = Plan.objects.exclude(pk=draft.pk).get()
    assert (plan.user, plan.created_by) == (people.alice, people.operator)
    text = oscar.get(answer["Location"]).content.decode()
    assert "You plan for alice" in text
    assert "1 adapter stops working" in text
    assert "a secret style" not in text
    assert oscar.get(page_of(plan, "try")).status_code == 404


def test_nobody_else_plans_for_others(
    alice: Client, people: People, visit: Callable[[User], Client]
) -> None:
    for user in (people.bob, people.curator):
        assert visit(user).get("/migrate/", {"person": "alice"}).status_code == 404
        answer = visit(user).post("/migrate/", {"engine": NEW, "person": "alice"})
        assert answer.status_code == 404
    assert not Plan.objects.exists()


def test_who_has_no_engine_is_told_of_none(
    people: People, engines: Engines, visit: Callable[[User], Client]
) -> None:
    base = KnowledgeBase.objects.create(name="Notes", owner=people.bob)
    add_document(base.pk, title="Roof", text="The roof is of slate.")
    bob = visit(people.bob)
    bob.post("/migrate/", {"engine": NEW})
    plan = Plan.objects.get()

    meaning = bob.get(page_of(plan, "meaning")).content.decode()
    confirm = bob.get(page_of(plan, "confirm")).content.decode()

    assert "No engine answers you until QWEN-4B is proven." in meaning
    assert "Nothing: no engine answers you now." in meaning
    assert "1 text is embedded for the first time" in meaning
    assert "What you wrote for  is kept" not in meaning
    assert "No engine answers you until then." in confirm
    for text in (meaning, confirm):
        assert "no engine can" not in text
        assert "no engine goes on" not in text
        assert "old index answers" not in text


def test_what_came_of_a_first_move_and_its_way_back(
    people: People, engines: Engines, visit: Callable[[User], Client]
) -> None:
    bob = visit(people.bob)
    bob.post("/migrate/", {"engine": NEW})
    Plan.objects.update(
        status=PlanStatus.ROLLED_BACK,
        switched={"prompt_family": "qwen"},
        finished_at=timezone.now(),
    )
    plan = Plan.objects.get()
    back = Plan.objects.create(
        kind=PlanKind.ROLLBACK,
        user=people.bob,
        created_by=people.bob,
        rolls_back=plan,
        from_engine=engines.new,
        status=PlanStatus.COMPLETED,
        finished_at=timezone.now(),
    )

    result = bob.get(page_of(plan, "result"))
    assert result.context["ending"].title == "Taken back: you have no engine again"
    rows = {row.label: (row.before, row.after) for row in result.context["compared"]}
    assert rows["Engine"][0] == rows["Context"][0] == "none"
    assert rows["Prompts"] == ("of no family", "of the family qwen")
    ending = bob.get(page_of(back, "result")).context["ending"]
    assert ending.title == "You have no engine again"
    assert title_for(back, people.bob.pk) == "Go back to no engine"
