"""A plan that was confirmed for later starts by itself: when nothing is in its way, and as it was confirmed."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from engines.exceptions import ConflictError, IllegalMoveError, InvalidRequestError
from engines.models import CatalogModel, Host, HostStatus, KnowledgeBase, Notice
from engines.moments import moment_in_words
from engines.services.knowledge.documents import add_document
from engines.services.people.preferences import EngineChoice, preference_of, write_preference
from migrations_app.controller import MigrationController
from migrations_app.models import Plan, PlanEvent
from migrations_app.plans.preview import PlanPreview, preview_of
from migrations_app.plans.transitions import PlanChange, request_cancel, start_plan
from migrations_app.states import PlanStatus
from tests.api.roles import Engines, People, make_engines, make_people, make_plan, use_engine
from tests.worker.plans import make_host, rows
from worker.sweeper import sweep

pytestmark = pytest.mark.django_db(transaction=True)

controller = MigrationController()
TOMORROW = timezone.now() + timedelta(days=1)


@pytest.fixture
def people(transactional_db: None) -> People:
    return make_people()


@pytest.fixture
def engines(transactional_db: None) -> Engines:
    return make_engines()


@pytest.fixture
def plan(people: People, engines: Engines) -> Plan:
    """Alice's plan for tomorrow, which nobody has confirmed."""
    use_engine(people.alice, engines.old)
    plan_id = controller.create_migration_plan(
        "current", engines.new.model_id, people.alice.pk, not_before=TOMORROW, actor=people.alice
    )
    return Plan.objects.get(pk=plan_id)


@pytest.fixture
def confirmed(plan: Plan, people: People) -> Plan:
    assert controller.execute_migration(plan.pk, actor=people.alice)
    plan.refresh_from_db()
    return plan


def let_it_be_due(plan: Plan) -> None:
    Plan.objects.filter(pk=plan.pk).update(not_before=timezone.now() - timedelta(seconds=1))


def whys(plan: Plan) -> list[tuple[str, str]]:
    return list(PlanEvent.objects.filter(plan=plan).order_by("pk").values_list("who", "why"))


def test_a_confirmed_plan_waits_for_its_time_and_starts_by_itself(confirmed: Plan) -> None:
    assert confirmed.confirmed_at is not None
    sweep()
    assert Plan.objects.get().status == PlanStatus.PENDING

    let_it_be_due(confirmed)
    sweep()

    assert Plan.objects.get().status == PlanStatus.IN_PROGRESS
    agreed = f"Confirmed: it starts at {moment_in_words(TOMORROW)}."
    assert whys(confirmed) == [("alice", agreed), ("system", "Started.")]


def test_nobody_starts_what_was_not_confirmed(plan: Plan) -> None:
    let_it_be_due(plan)
    before = rows(plan)

    assert controller.start_due_migrations() == 0

    assert rows(plan) == before


def test_confirming_twice_says_so_once(confirmed: Plan, people: People) -> None:
    controller.execute_migration(confirmed.pk, actor=people.alice)

    assert len(whys(confirmed)) == 1


def test_a_plan_without_a_time_starts_at_once(plan: Plan, people: People) -> None:
    controller.change_migration(plan.pk, PlanChange(at_once=True), actor=people.alice)

    controller.execute_migration(plan.pk, actor=people.alice)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.IN_PROGRESS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            PlanChange(not_before=TOMORROW + timedelta(hours=1)),
            r"it starts at \d+ \w+ \d{4}, \d\d:\d\d UTC",
        ),
        (PlanChange(at_once=True), "it starts when it is confirmed"),
        (PlanChange(backup_lora=False), "backup lora adapters off"),
    ],
)
def test_whatever_is_changed_has_to_be_confirmed_again(
    confirmed: Plan, people: People, change: PlanChange, words: str
) -> None:
    controller.change_migration(confirmed.pk, change, actor=people.alice)

    confirmed.refresh_from_db()
    assert confirmed.confirmed_at is None
    why = rf"Changed: {words}, it has to be confirmed again\."
    assert re.fullmatch(why, whys(confirmed)[-1][1])
    let_it_be_due(confirmed)
    assert controller.start_due_migrations() == 0


def test_a_change_to_what_it_is_already_changes_nothing(confirmed: Plan, people: People) -> None:
    before = rows(confirmed)

    change = PlanChange(backup_lora=True, re_embed=True, not_before=confirmed.not_before)
    controller.change_migration(confirmed.pk, change, actor=people.alice)

    assert rows(confirmed) == before
    assert len(whys(confirmed)) == 1


def test_a_started_plan_keeps_what_its_preview_promised(plan: Plan) -> None:
    start_plan(plan.pk, who="alice")
    Plan.objects.update(preview={"to_embed": 7})

    assert dict(controller.preview_migration(plan.pk)) == {"to_embed": 7}

    plan.refresh_from_db()
    assert plan.preview == {"to_embed": 7}


def test_who_confirms_again_has_dealt_with_why_it_did_not_start(plan: Plan, people: People) -> None:
    Plan.objects.update(error_message="Its host was away.")

    assert controller.execute_migration(plan.pk, actor=people.alice)

    plan.refresh_from_db()
    assert (plan.status, plan.error_message) == (PlanStatus.PENDING, "")
    assert plan.confirmed_at is not None


def test_who_has_text_and_no_index_may_change_all_but_the_embedding(
    plan: Plan, people: People
) -> None:
    base = KnowledgeBase.objects.create(owner=people.alice, name="Notes")
    add_document(base.pk, title="Note", text="The bridge is closed.")
    KnowledgeBase.objects.update(live_index=None)

    changed = controller.change_migration(plan.pk, PlanChange(at_once=True), actor=people.alice)

    assert changed.not_before is None
    plan.refresh_from_db()
    before = rows(plan)
    with pytest.raises(InvalidRequestError, match="has no index yet"):
        controller.change_migration(plan.pk, PlanChange(re_embed=False), actor=people.alice)
    assert rows(plan) == before


def test_who_looks_at_a_plan_while_it_starts_does_not_take_its_start_back(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count_meanwhile(seen: Plan) -> PlanPreview:
        start_plan(plan.pk, who="alice")
        return preview_of(seen)

    monkeypatch.setattr("migrations_app.controller.preview_of", count_meanwhile)

    preview = controller.preview_migration(plan.pk)

    plan.refresh_from_db()
    assert (plan.status, "sample" in preview) == (PlanStatus.IN_PROGRESS, False)


def test_the_preview_is_that_of_the_new_options(plan: Plan, people: People) -> None:
    Plan.objects.update(preview={"to_embed": 7})

    changed = controller.change_migration(
        plan.pk, PlanChange(re_embed=False, update_prompts=False), actor=people.alice
    )

    plan.refresh_from_db()
    assert (plan.re_embed_knowledge, plan.update_prompt_templates) == (False, False)
    assert plan.preview["to_embed"] == 0
    assert changed.backup_lora_adapters is True
    why = "Changed: re embed knowledge off, update prompt templates off."
    assert whys(plan) == [("alice", why)]


@pytest.mark.parametrize(
    ("moment", "sentence"),
    [
        (timezone.now() - timedelta(minutes=1), "has passed"),
        (timezone.now() + timedelta(days=400), "at most a year ahead"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(
    plan: Plan, people: People, moment: object, sentence: str
) -> None:
    before = rows(plan)

    with pytest.raises(InvalidRequestError, match=sentence):
        controller.change_migration(plan.pk, PlanChange(not_before=moment))  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match=sentence):
        controller.create_migration_plan(
            "current",
            "qwen-4b",
            people.alice.pk,
            not_before=moment,  # type: ignore[arg-type]
        )

    assert rows(plan) == before
    assert Plan.objects.count() == 1


def test_a_started_plan_is_not_changed(plan: Plan) -> None:
    controller.change_migration(plan.pk, PlanChange(at_once=True))
    controller.execute_migration(plan.pk)
    before = rows(plan)

    with pytest.raises(IllegalMoveError, match="only one that has not started"):
        controller.change_migration(plan.pk, PlanChange(backup_lora=False))

    assert rows(plan) == before


def test_options_are_those_of_a_migration(plan: Plan) -> None:
    verify = Plan.objects.create(kind="verify")

    with pytest.raises(InvalidRequestError, match="Only a migration has these options"):
        controller.change_migration(verify.pk, PlanChange(re_embed=False))
    controller.change_migration(verify.pk, PlanChange(not_before=TOMORROW))

    verify.refresh_from_db()
    assert verify.not_before == TOMORROW


def test_what_was_withdrawn_meanwhile_is_shown_to_be_confirmed_again(
    confirmed: Plan, engines: Engines, people: People
) -> None:
    CatalogModel.objects.filter(pk=engines.new.pk).update(published=False)
    let_it_be_due(confirmed)

    assert controller.start_due_migrations() == 0

    confirmed.refresh_from_db()
    assert (confirmed.status, confirmed.confirmed_at) == (PlanStatus.PENDING, None)
    assert confirmed.error_message.startswith("qwen-4b is not offered to alice any more")
    assert whys(confirmed)[-1] == ("system", f"Not started: {confirmed.error_message}")
    notice = Notice.objects.get(user=people.alice)
    assert notice.title == "The move to QWEN-4B could not start at its time"
    assert controller.start_due_migrations() == 0

    CatalogModel.objects.filter(pk=engines.new.pk).update(published=True)
    controller.execute_migration(confirmed.pk, actor=people.alice)
    confirmed.refresh_from_db()
    assert (confirmed.status, confirmed.error_message) == (PlanStatus.IN_PROGRESS, "")


def test_an_engine_changed_meanwhile_stops_it(
    confirmed: Plan, engines: Engines, people: People
) -> None:
    choice = EngineChoice(engines.reserved, engines.reserved.current_revision, "llama")
    write_preference(preference_of(people.alice), choice, why="Meanwhile.")
    let_it_be_due(confirmed)

    controller.start_due_migrations()

    confirmed.refresh_from_db()
    assert confirmed.confirmed_at is None
    assert "was changed since this plan was made" in confirmed.error_message


def test_a_plan_in_its_way_is_waited_for(confirmed: Plan, people: People, engines: Engines) -> None:
    other = make_plan(people.alice, engines)
    controller.execute_migration(other.pk)
    let_it_be_due(confirmed)

    assert controller.start_due_migrations() == 0
    confirmed.refresh_from_db()
    assert (confirmed.status, confirmed.confirmed_at is not None) == (PlanStatus.PENDING, True)

    request_cancel(other.pk, who="alice")
    assert controller.start_due_migrations() == 1


def test_a_host_that_leaves_meanwhile_is_exchanged(confirmed: Plan, engines: Engines) -> None:
    Host.objects.filter(pk=engines.host.pk).update(status=HostStatus.DRAINING)
    let_it_be_due(confirmed)

    assert controller.start_due_migrations() == 0
    confirmed.refresh_from_db()
    assert confirmed.confirmed_at is not None, "no other host is there, and one may come"

    other = make_host("gpu-2")
    assert controller.start_due_migrations() == 1
    confirmed.refresh_from_db()
    assert (confirmed.status, confirmed.host) == (PlanStatus.IN_PROGRESS, other)


def test_who_may_not_sign_in_is_not_moved(confirmed: Plan, people: People) -> None:
    people.alice.is_active = False
    people.alice.save()
    let_it_be_due(confirmed)

    assert controller.start_due_migrations() == 0


def test_a_cancelled_plan_does_not_start(confirmed: Plan, people: People) -> None:
    controller.cancel_migration(confirmed.pk, actor=people.alice)
    let_it_be_due(confirmed)

    assert controller.start_due_migrations() == 0
    with pytest.raises(ConflictError):
        controller.execute_migration(confirmed.pk, actor=people.alice)

    confirmed.refresh_from_db()
    assert confirmed.status == PlanStatus.CANCELLED


def test_a_plan_that_nobody_confirms_is_dropped_after_a_while(
    people: People, engines: Engines, plan: Plan, settings: Settings
) -> None:
    settings.SAM_DRAFT_DAYS = 30
    fresh, changed, agreed = (make_plan(people.alice, engines) for _ in range(3))
    download = Plan.objects.create(kind="download", host=engines.host, to_engine=engines.new)
    long_ago = timezone.now() - timedelta(days=31)
    Plan.objects.exclude(pk=fresh.pk).update(created_at=long_ago)
    controller.change_migration(changed.pk, PlanChange(backup_lora=False), actor=people.alice)
    Plan.objects.filter(pk=agreed.pk).update(confirmed_at=long_ago, not_before=TOMORROW)
    settings.SAM_DRAFT_DAYS = 0
    sweep()
    assert not Plan.objects.filter(status=PlanStatus.CANCELLED).exists()

    settings.SAM_DRAFT_DAYS = 30
    sweep()

    dropped = Plan.objects.filter(status=PlanStatus.CANCELLED)
    assert [each.pk for each in dropped] == [plan.pk]
    assert ("sweeper", "Nobody confirmed it for 30 days.") in whys(plan)
    assert Plan.objects.get(pk=download.pk).status == PlanStatus.PENDING
    assert Notice.objects.get(user=people.alice).title == "The planned move to QWEN-4B was dropped"
