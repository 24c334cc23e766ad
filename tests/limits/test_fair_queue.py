"""People take turns, whoever comes with how much."""

from __future__ import annotations

import pytest

from engines.fair_queue import FairQueue


def filled(*items: str) -> FairQueue[str, str]:
    """Each item is named by its person and a number."""
    queue: FairQueue[str, str] = FairQueue()
    for item in items:
        queue.append(item[0], item)
    return queue


def taken(queue: FairQueue[str, str]) -> str:
    item = queue.first()
    assert item is not None
    queue.take(item[0], item)
    return item


def drained(queue: FairQueue[str, str]) -> list[str]:
    return [taken(queue) for _ in range(len(queue))]


def test_one_of_each_person_is_served_before_anybodys_second() -> None:
    many = [f"a{number}" for number in range(80)]

    assert drained(filled(*many, "b1", "c1", "b2"))[:6] == ["a0", "b1", "c1", "a1", "b2", "a2"]


def test_who_comes_anew_waits_for_those_who_came_before_and_no_longer() -> None:
    queue = filled("a1", "a2", "b1", "b2")
    assert [taken(queue), taken(queue)] == ["a1", "b1"]

    queue.append("c", "c1")

    assert drained(queue) == ["a2", "b2", "c1"]


def test_who_was_served_and_comes_again_at_once_goes_behind_the_others() -> None:
    queue = filled("a1", "b1")
    assert taken(queue) == "a1"
    queue.append("a", "a2")

    assert drained(queue) == ["b1", "a2"]


def test_what_may_not_go_is_passed_and_keeps_its_turn() -> None:
    queue = filled("a1", "a2", "b1")

    assert queue.first(lambda item: item == "b1") == "b1"
    queue.take("b", "b1")
    queue.take("a", "a2")
    assert queue.first(lambda item: False) is None
    assert (queue.first(), len(queue)) == ("a1", 1)


def test_what_is_put_back_is_its_persons_next_and_nobody_elses() -> None:
    queue = filled("a1", "a2", "b1")
    assert taken(queue) == "a1"
    queue.put_back("a", "a1")

    assert drained(queue) == ["b1", "a1", "a2"]


def test_what_leaves_costs_its_person_no_turn() -> None:
    queue = filled("a1", "a2", "b1")
    queue.remove("a", "a1")

    assert (queue.count("a"), queue.count("c"), list(queue)) == (1, 0, ["a2", "b1"])
    with pytest.raises(ValueError, match="not in deque"):
        queue.remove("c", "c1")
    assert drained(queue) == ["a2", "b1"]
