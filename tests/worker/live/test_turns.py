"""Nobody's requests, and no engine's, keep all others waiting: asserted by order, not by time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from samproject.supervisor.roster import THREADS
from tests.worker.processes import wait_until
from worker.live import turns
from worker.live.turns import FOR_IDLE_ENGINES, FOR_NEWCOMERS, MOST_WAITING, PLACES, Asker, Turns

ALL_PLACES = PLACES + FOR_NEWCOMERS + FOR_IDLE_ENGINES
FAST, SLOW = "chat:fast", "chat:slow"
EIGHTY = 80


class Door:
    """Turns of a process whose requests end when a test says so."""

    def __init__(self) -> None:
        self.admitted: list[str] = []
        self.refused: list[str] = []
        self.turns = Turns(lambda: self.engines_in_use)
        self.engines_in_use: set[str] = set()
        self._threads: list[threading.Thread] = []

    def ask(self, name: str, person: int, engine: str = SLOW) -> None:
        """Come with a request, and return once it is admitted, refused or waits."""
        before = len(self.waiting)
        thread = threading.Thread(target=self._come, args=(name, Asker(person, engine)))
        thread.start()
        self._threads.append(thread)
        wait_until(
            lambda: name in self.admitted + self.refused or len(self.waiting) > before,
            "the request has come",
        )

    def _come(self, name: str, asker: Asker) -> None:
        if not self.turns.wait(name, lambda: asker):
            self.refused.append(name)
            return
        with suppress(KeyError):  # ended by the test's end
            self.turns.tell(name, asker.person)
        self.admitted.append(name)

    @property
    def waiting(self) -> list[str]:
        return [turn.request_id for turn in self.turns._waiting]

    def end(self, name: str) -> str | None:
        """End a request; return the one that has a place for it."""
        before = set(self.turns._held)
        self.turns.leave(name)
        return next(iter(self.turns._held.keys() - before), None)

    def close(self) -> None:
        while self.turns._held:
            self.turns.leave(next(iter(self.turns._held)))
        for thread in self._threads:
            thread.join()


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.close()


def test_eighty_streams_of_one_person_leave_a_place_for_everybody_else(door: Door) -> None:
    for number in range(EIGHTY):
        door.ask(f"a{number}", person=1)
    assert door.admitted == [f"a{number}" for number in range(PLACES)]
    assert len(door.waiting) == MOST_WAITING
    assert len(door.refused) == EIGHTY - PLACES - MOST_WAITING

    for person in range(2, 2 + FOR_NEWCOMERS):
        door.ask(f"person {person}", person)

    assert door.admitted[PLACES:] == [f"person {n}" for n in range(2, 2 + FOR_NEWCOMERS)]


def test_who_finds_all_places_taken_has_the_first_that_comes_free(door: Door) -> None:
    for number in range(EIGHTY):
        door.ask(f"a{number}", person=1)
    for person in range(2, 2 + FOR_NEWCOMERS):
        door.ask(f"person {person}", person)
    door.ask("late", person=98)
    door.ask("later", person=99)

    assert [door.end(f"a{number}") for number in range(3)] == ["late", "later", None]


def test_many_people_at_a_slow_engine_leave_a_place_for_another_engine(door: Door) -> None:
    for person in range(1, 60):
        door.ask(f"slow {person}", person)
    assert len(door.admitted) == PLACES + FOR_NEWCOMERS

    door.ask("fast", person=99, engine=FAST)
    door.ask("fast too", person=100, engine=FAST)

    # One of an engine that nobody uses goes at once; the next one waits in turn like all others.
    assert door.admitted[-1] == "fast"
    assert "fast too" in door.waiting


def test_an_engine_that_works_for_somebody_has_no_place_kept(door: Door) -> None:
    door.engines_in_use = {FAST}
    for person in range(1, 60):
        door.ask(f"slow {person}", person)

    door.ask("fast", person=99, engine=FAST)
    door.ask("of no known engine", person=100, engine="")

    assert {"fast", "of no known engine"} <= set(door.waiting)


def test_places_go_to_people_in_turn(door: Door) -> None:
    for number in range(PLACES):
        door.ask(f"a{number}", person=1)
    for number in range(FOR_NEWCOMERS):
        door.ask(f"newcomer {number}", person=10 + number)
    for name in ("a waiting", "a waiting too"):
        door.ask(name, person=1)
    for name in ("b", "b too"):
        door.ask(name, person=10)
    for number in range(FOR_NEWCOMERS):
        door.turns.leave(f"a{number}")

    order = [door.end(f"a{number}") for number in range(8, 12)]

    assert order == ["a waiting", "b", "a waiting too", "b too"]


def test_a_request_that_is_here_is_not_taken_again(door: Door) -> None:
    for number in range(PLACES):
        door.ask(f"a{number}", person=1)
    door.ask("waiting", person=1)

    door.ask("a3", person=1)
    door.ask("waiting", person=1)

    assert door.refused == ["a3", "waiting"]
    assert door.waiting == ["waiting"]


def test_what_cannot_be_read_ends_its_own_wait_only(door: Door) -> None:
    for number in range(PLACES):
        door.ask(f"a{number}", person=1)

    def fail() -> Asker:
        raise OSError("Redis is away")

    with pytest.raises(OSError, match="Redis is away"):
        door.turns.wait("broken", fail)

    assert door.waiting == []


def test_what_waits_when_the_process_ends_is_left_to_another(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(PLACES):
        door.ask(f"a{number}", person=1)
    door.ask("waiting", person=1)

    draining: Callable[[], bool] = lambda: True  # noqa: E731
    monkeypatch.setattr(turns, "is_draining", draining)

    wait_until(lambda: door.refused == ["waiting"], "the request is given up")
    assert door.waiting == []
    assert door.admitted == [f"a{number}" for number in range(PLACES)]


def test_threads_are_left_to_hear_who_comes_while_all_places_are_taken() -> None:
    assert THREADS["live"] >= ALL_PLACES + 4 * MOST_WAITING
