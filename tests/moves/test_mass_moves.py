"""Mass moves: a plan for each, a few at a time, a sentence for who was left out; killed, repeated, cancelled."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from engines.db.session_locks import in_turn
from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError
from engines.models import CatalogModel, Host, HostStatus, KnowledgeBase
from migrations_app.controller import get_migration_controller
from migrations_app.library import ModelLibraryManager
from migrations_app.models import AuditEntry, AuditKind, MassMove, MassMoveLine, Plan
from migrations_app.moves import turn
from migrations_app.moves.choice import PeopleChoice, find_people
from migrations_app.moves.counts import count_refusals, count_states, with_states
from migrations_app.moves.mass_moves import (
    MassMoveWish,
    cancel_mass_move,
    retry_mass_move,
    start_mass_move,
)
from migrations_app.moves.meaning import preview_moves, sum_up
from migrations_app.moves.pace import measure_pace, say_pace
from migrations_app.moves.turn import LOCK, has_mass_moves, take_turn
from migrations_app.people import deactivate_person, delete_person
from migrations_app.plans.housekeeping import drop_forgotten_drafts
from migrations_app.states import PlanStatus
from tests.api.roles import Engines, People, make_engines, make_model, make_people, use_engine
from tests.worker.locks import held_elsewhere


@pytest.fixture
def people(db: None) -> People:
    return make_people()


@pytest.fixture
def engines(people: People) -> Engines:
    found = make_engines()
    for person in (people.alice, people.bob):
        use_engine(person, found.old)
    use_engine(people.curator, found.new)
    return found


def begin(
    people: People, engines: Engines, names: str = "alice bob carol", **more: Any
) -> MassMove:
    chosen = User.objects.filter(username__in=names.split())
    wish = MassMoveWish(engines.new.model_id, **more)
    return start_mass_move(chosen, wish, actor=people.operator)


def states(move: MassMove) -> dict[str, str]:
    lines = with_states(move.lines.select_related("user")).order_by("id")
    return {line.user.username if line.user else "?": line.state for line in lines}


def plan_of(user: User) -> Plan:
    return Plan.objects.get(user=user, status__in=["pending", "in_progress"])


def end(user: User, status: PlanStatus = PlanStatus.COMPLETED) -> None:
    Plan.objects.filter(user=user).update(status=status, progress_percentage=100)


def test_an_entry_is_not_deleted_while_a_move_tells_of_it(people: People) -> None:
    entry = CatalogModel.objects.create(
        model_id="fresh", display_name="Fresh", model_family="llama"
    )
    move = MassMove.objects.create(to_engine=entry, finished_at=timezone.now())
    MassMoveLine.objects.create(
        move=move, user=people.alice, handled_at=timezone.now(), refusal="It fits nowhere."
    )

    with pytest.raises(ConflictError, match=r"moves of many people\. Unpublish it"):
        ModelLibraryManager().delete_entry("fresh")

    assert states(move) == {"alice": "refused"}
    move.delete()
    ModelLibraryManager().delete_entry("fresh")
    assert not CatalogModel.objects.filter(model_id="fresh").exists()


def test_each_gets_a_plan_of_their_own_and_so_many_run_at_once(
    people: People, engines: Engines
) -> None:
    move = begin(people, engines, at_once=1)
    assert states(move) == {"alice": "waiting", "bob": "waiting", "carol": "waiting"}
    assert not Plan.objects.exists()

    first = take_turn()

    assert states(move) == {"alice": "running", "bob": "planned", "carol": "refused"}
    assert (first.planned, first.started, first.refused, first.has_more) == (2, 1, 1, False)
    assert count_refusals(move, 5) == [("QWEN-4B answers already.", 1)]
    assert plan_of(people.alice).created_by == people.operator
    created = AuditEntry.objects.filter(kind=AuditKind.PLAN, action="created")
    assert set(created.values_list("actor", flat=True)) == {"oscar"}

    assert take_turn().started == 0
    end(people.alice)
    assert take_turn().started == 1
    assert has_mass_moves()
    end(people.bob)
    take_turn()

    assert states(move) == {"alice": "completed", "bob": "completed", "carol": "refused"}
    assert not has_mass_moves()
    assert Plan.objects.count() == 2


def test_a_kill_between_the_plan_and_its_line_leaves_neither(
    people: People, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = begin(people, engines, "alice")

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MassMoveLine, "save", die)
        with pytest.raises(KeyboardInterrupt):
            take_turn()
    assert not Plan.objects.exists()
    assert states(move) == {"alice": "waiting"}

    take_turn()
    take_turn()

    assert Plan.objects.count() == 1
    assert states(move) == {"alice": "running"}


def test_only_one_worker_takes_a_turn(people: People, engines: Engines) -> None:
    begin(people, engines, "alice")
    with held_elsewhere(in_turn(LOCK).__enter__):
        assert take_turn().planned == 0
    assert take_turn().planned == 1


def test_who_was_deleted_is_a_line_without_name_or_plan(people: People, engines: Engines) -> None:
    move = begin(people, engines, at_once=1)
    delete_person(people.alice)
    take_turn()
    assert states(move) == {"?": "gone", "bob": "running", "carol": "refused"}

    delete_person(people.curator)

    assert Counter(line.state for line in with_states(move.lines.all())) == {
        "gone": 2,
        "running": 1,
    }
    assert not count_refusals(move, 5)
    with pytest.raises(ConflictError, match="Nobody"):
        retry_mass_move(move)


def test_who_started_another_plan_meanwhile_is_left_out_and_tried_again(
    people: People, engines: Engines
) -> None:
    other = make_model("other-1b", embedding_model=engines.embedder)
    move = begin(people, engines, "alice bob", at_once=1)
    take_turn()
    controller = get_migration_controller()
    own = controller.create_migration_plan("current", other.model_id, "bob")
    controller.execute_migration(own)
    end(people.alice)

    take_turn()

    assert states(move) == {"alice": "completed", "bob": "refused"}
    (why, _), *_ = count_refusals(move, 5)
    assert why.startswith("Another plan")
    assert Plan.objects.get(user=people.bob, to_engine=engines.new).status == PlanStatus.CANCELLED
    assert Plan.objects.get(pk=own).status == PlanStatus.IN_PROGRESS

    controller.cancel_migration(own)
    assert retry_mass_move(move) == 1
    take_turn()

    assert states(move) == {"alice": "completed", "bob": "running"}


def test_who_was_deactivated_is_left_out_with_the_reason(people: People, engines: Engines) -> None:
    move = begin(people, engines, "alice")
    deactivate_person(people.alice, who="adam")

    take_turn()

    assert states(move) == {"alice": "refused"}
    assert "deactivated" in count_refusals(move, 1)[0][0]


def test_without_a_host_all_of_them_wait_and_nobody_is_refused(
    people: People, engines: Engines
) -> None:
    Host.objects.update(status=HostStatus.DRAINING)
    move = begin(people, engines, "alice bob")

    report = take_turn()

    move.refresh_from_db()
    assert states(move) == {"alice": "waiting", "bob": "waiting"}
    assert move.waits_for.startswith("No host is active")
    assert not report.has_more

    Host.objects.update(status=HostStatus.ACTIVE)
    take_turn()
    move.refresh_from_db()
    assert (move.waits_for, set(states(move).values())) == ("", {"running"})


def test_cancelling_the_rest_leaves_who_has_switched(people: People, engines: Engines) -> None:
    move = begin(people, engines, "alice bob", at_once=1)
    take_turn()
    end(people.alice)
    cancel_mass_move(move)
    assert states(move) == {"alice": "completed", "bob": "planned"}

    assert take_turn().cancelled == 1
    take_turn()

    move.refresh_from_db()
    assert states(move) == {"alice": "completed", "bob": "cancelled"}
    assert move.finished_at is not None
    assert cancel_mass_move(move).cancel_requested_at == move.cancel_requested_at
    with pytest.raises(ConflictError, match="start another one"):
        retry_mass_move(move)


def test_the_rest_cancelled_before_anybody_was_planned_makes_no_plan(
    people: People, engines: Engines
) -> None:
    move = begin(people, engines, "alice bob")
    cancel_mass_move(move)

    take_turn()

    assert set(states(move).values()) == {"cancelled"}
    assert not Plan.objects.exists()
    assert not has_mass_moves()


def test_a_failed_plan_gets_another_turn(people: People, engines: Engines) -> None:
    move = begin(people, engines, "alice")
    take_turn()
    end(people.alice, PlanStatus.FAILED)
    take_turn()
    move.refresh_from_db()
    assert (states(move), move.finished_at is None) == ({"alice": "failed"}, False)

    retry_mass_move(move)
    take_turn()

    assert states(move) == {"alice": "running"}


def test_what_waits_for_its_turn_is_no_forgotten_draft(
    people: People, engines: Engines, settings: Any
) -> None:
    settings.SAM_DRAFT_DAYS = 1
    begin(people, engines, "alice bob", at_once=1)
    take_turn()
    Plan.objects.update(created_at="2020-01-01T00:00Z")
    Plan.objects.get(user=people.bob).events.all().delete()

    assert drop_forgotten_drafts(who="sweeper") == 0


@pytest.mark.parametrize(
    ("names", "wish", "error"),
    [
        ("", {}, "Nobody is chosen"),
        ("alice", {"to_engine": "minilm"}, "only embeds"),
        ("alice", {"at_once": 0}, "at the same time"),
        ("alice", {"to_engine": "nothing"}, "No model is called"),
    ],
)
def test_a_wish_that_cannot_be_makes_nothing(
    people: People, engines: Engines, names: str, wish: dict[str, Any], error: str
) -> None:
    chosen = User.objects.filter(username__in=names.split())
    asked = MassMoveWish(**{"to_engine": engines.new.model_id, **wish})

    with pytest.raises((InvalidRequestError, NotFoundError), match=error):
        start_mass_move(chosen, asked, actor=people.operator)

    assert not MassMove.objects.exists()


def test_people_are_found_by_name_engine_and_group(people: People, engines: Engines) -> None:
    Group.objects.create(name="team").user_set.add(people.bob, people.curator)

    def found(**choice: Any) -> list[str]:
        return [user.username for user in find_people(PeopleChoice(**choice))]

    assert found(names=("bob", "alice")) == ["alice", "bob"]
    assert found(using="llama-8b") == ["alice", "bob"]
    assert found(using="llama-8b", group="team") == ["bob"]
    assert len(found(everybody=True)) == 5
    for refused, error in (
        ({}, "Say whom"),
        ({"names": ("bob", "eve")}, "eve"),
        ({"group": "x"}, "x"),
    ):
        with pytest.raises((InvalidRequestError, NotFoundError), match=error):
            found(**refused)


def test_what_it_would_mean_takes_the_same_queries_for_any_number(
    people: People, engines: Engines
) -> None:
    KnowledgeBase.objects.create(owner=people.alice, name="Notes")
    with CaptureQueriesContext(connection) as few:
        preview_moves(User.objects.filter(pk=people.alice.pk), engines.new)
    with CaptureQueriesContext(connection) as all_of_them:
        total = sum_up(preview_moves(User.objects.all(), engines.new))
    reserved = sum_up(preview_moves(User.objects.all(), engines.reserved))

    assert len(few) == len(all_of_them)
    assert (total.people, total.moved, total.left_out) == (5, 4, 1)
    assert reserved.refusals == [("RESERVED-8B is reserved for others.", 5)]


@pytest.mark.slow
def test_thousands_are_planned_in_turns(people: People, engines: Engines) -> None:
    many = [User(username=f"person-{number}") for number in range(2000)]
    User.objects.bulk_create(many)
    move = start_mass_move(
        User.objects.filter(username__startswith="person-"),
        MassMoveWish(engines.new.model_id),
        actor=people.operator,
    )

    turns = 1
    while take_turn(turn.TURN_SECONDS).has_more:
        turns += 1

    counted = {state: n for state, n in count_states([move])[move.pk].items() if n}
    assert counted == {"running": 20, "planned": 1980}
    assert turns > 1


def test_a_pace_is_told_once_enough_have_ended_and_a_minute_was_watched(
    people: People, engines: Engines
) -> None:
    names = [f"person{n}" for n in range(8)]
    for name in names:
        use_engine(User.objects.create_user(name), engines.old)
    move = begin(people, engines, " ".join(names), at_once=8)
    take_turn()
    now = timezone.now()
    MassMove.objects.filter(pk=move.pk).update(created_at=now - timedelta(minutes=2))
    for name in names[:4]:
        Plan.objects.filter(user__username=name).update(status="completed", finished_at=now)
    assert told_pace(move) == ""

    Plan.objects.filter(user__username=names[4]).update(status="completed", finished_at=now)

    # On a busy machine the two minutes are some seconds more by now.
    assert re.fullmatch(r"(2\.5|[12]\.\d+) people a minute, about [1-3] min left", told_pace(move))
    long_ago = now - timedelta(hours=1)
    MassMove.objects.filter(pk=move.pk).update(created_at=long_ago)
    Plan.objects.filter(user__username=names[0]).update(finished_at=long_ago)
    assert told_pace(move) == "", "what ended long ago says nothing of now"
    cancel_mass_move(move)
    assert told_pace(move) == ""


def told_pace(move: MassMove) -> str:
    fresh = MassMove.objects.get(pk=move.pk)
    return say_pace(measure_pace(fresh, count_states([fresh])[fresh.pk]))
