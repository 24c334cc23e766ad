"""Changes that become visible out of order are each told once, also across a cursor."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from migrations_app.live.access import Credential, Permit, Scope
from migrations_app.live.cursor import MAX_TOLD, Cursor, parse_cursor
from migrations_app.live.listener import Listener
from migrations_app.live.tail import Tail, change_rows, place_now
from migrations_app.models import Plan, PlanEvent
from migrations_app.states import PlanKind

pytestmark = pytest.mark.django_db(transaction=True)


def leave_event(why: str) -> int:
    plan, _ = Plan.objects.get_or_create(kind=PlanKind.VERIFY)
    return PlanEvent.objects.create(plan=plan, to_status="pending", who="me", why=why).pk


class SlowTransaction:
    """A transaction that has its number and commits when it is told to."""

    def __init__(self) -> None:
        self.number = 0
        self._has_number, self._may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> SlowTransaction:
        self._thread.start()
        assert self._has_number.wait(60)
        return self

    def _run(self) -> None:
        with transaction.atomic():
            self.number = leave_event("slow")
            self._has_number.set()
            assert self._may_end.wait(60)
        connection.close()

    def commit(self) -> None:
        self._may_end.set()
        self._thread.join(60)

    def __exit__(self, *_: object) -> None:
        self.commit()


def told(tail: Tail) -> list[int]:
    return [row.change.id for row in tail.read()]


def test_what_commits_after_a_page_was_drawn_comes_after_its_place() -> None:
    plan = Plan.objects.create(kind=PlanKind.VERIFY)
    other = Plan.objects.create(kind=PlanKind.DOWNLOAD)
    own = Plan.objects.filter(pk=plan.pk)
    with SlowTransaction() as slow:
        PlanEvent.objects.create(plan=other, to_status="pending", who="me", why="of another")
        leave_event("drawn")
        place = parse_cursor(str(place_now(own)))
        assert place is not None
        slow.commit()
        later = leave_event("later")

    missed = change_rows(place.settled, place.told, own)
    assert [row.change.id for row in missed] == [slow.number, later]


def test_a_place_fits_an_address_however_many_changes_there_are() -> None:
    plan = Plan.objects.create(kind=PlanKind.VERIFY)
    PlanEvent.objects.bulk_create(
        PlanEvent(plan=plan, to_status="pending", who="me", why=str(number))
        for number in range(2 * MAX_TOLD)
    )
    place = place_now(Plan.objects.all())

    assert parse_cursor(str(place)) == place
    assert change_rows(place.settled, place.told, Plan.objects.all()) == []


def test_a_lower_number_that_commits_later_is_not_lost_and_a_higher_one_not_doubled() -> None:
    Plan.objects.create(kind=PlanKind.VERIFY)
    tail = Tail()
    tail.begin()
    with SlowTransaction() as slow:
        fast = leave_event("fast")
        assert slow.number < fast
        first, again, place = told(tail), told(tail), tail.settled
        # Whoever leaves here comes back with this.
        cursor = parse_cursor(str(Cursor(place, frozenset({fast}))))
        slow.commit()

    assert (first, again) == ([fast], [])
    assert place < slow.number
    assert cursor is not None
    assert [row.change.id for row in change_rows(cursor.settled, cursor.told)] == [slow.number]
    assert (told(tail), told(tail)) == ([slow.number], [])
    assert tail.settled >= fast


def test_what_was_on_its_way_when_following_began_is_told() -> None:
    Plan.objects.create(kind=PlanKind.VERIFY)
    tail = Tail()
    with SlowTransaction() as slow:
        leave_event("before")
        tail.begin()
        slow.commit()

    assert told(tail) == [slow.number]


def test_a_cursor_that_is_none_of_ours_begins_anew() -> None:
    for text in (None, "", "x", "-1", "1-", "1--2", "٣", "9" * 30, "1-2" * 3000):
        assert parse_cursor(text) is None, text
    assert parse_cursor("7-9-8") == Cursor(7, frozenset({8, 9}))
    assert str(Cursor(7, frozenset({9, 8}))) == "7-8-9"


def test_what_a_client_was_told_stays_told_by_a_process_that_looks_far_back() -> None:
    listener = Listener(Permit(Credential(1), Scope(1)), Cursor(600, frozenset({604})))

    listener.settle(0)
    first = listener.cursor()
    listener.settle(610)

    assert first == Cursor(600, frozenset({604}))
    assert listener.cursor() == Cursor(610)
