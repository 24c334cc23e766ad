"""The collector at work all the time, without any patience, while somebody writes and is moved back and forth."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import F

from engines.models import Document, KnowledgeBase, VectorIndex
from engines.services.knowledge.documents import add_document, delete_document
from engines.services.knowledge.keep_up import lagging_indexes
from migrations_app.collection.collect import RULES, own_place
from migrations_app.collection.rules import Amount
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.knowledge.world import Threads, live_index
from tests.plans.conftest import threads, world
from tests.plans.hash_world import HashWorld

__all__ = ["threads", "world"]
"""Fixtures of another folder."""

FAR = timedelta(days=90)
"""Every grace has ended, but that of a file whose row is still to be written."""


def collecting(world: HashWorld, done: threading.Event) -> Callable[[], Amount]:
    """Return what collects until it is told to end; it returns what went."""

    def collect_all() -> Amount:
        total = Amount()
        while not done.is_set():
            now = replace(own_place(), store=world.store)
            for rule in RULES:
                place = now if rule.name == "files" else replace(now, now=now.now + FAR)
                total += rule.collect(place)
        return total

    return collect_all


def writing(
    world: HashWorld,
    base: KnowledgeBase,
    done: threading.Event,
) -> Callable[[], int]:
    """Return what adds a text, deletes it and adds it again, so that its vector comes and goes."""

    def write() -> int:
        rounds = 0
        while not done.is_set():
            text = f"A text that comes and goes, number {rounds % 3}."
            document = add_document(base.pk, title="Note", text=text, embed=world.embed)
            if rounds % 2 == 0:
                delete_document(document.pk)
            rounds += 1
            done.wait(0.02)
        return rounds

    return write


@pytest.mark.parametrize("moves", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_collecting_disturbs_nobody_and_loses_nothing(
    moves: int,
    world: HashWorld,
    threads: Threads,
) -> None:
    base = world.base("Notes", "The bridge is old.", "The violin is loud.")
    done = threading.Event()
    collector = threads.start(collecting(world, done))
    writer = threads.start(writing(world, base, done))
    try:
        for number in range(moves):
            plan = world.migrated("new" if number % 2 == 0 else "old")
            assert plan.status == PlanStatus.COMPLETED, plan.error_message
    finally:
        done.set()
    assert collector.result(120).count > 0
    assert writer.result(120) > 0

    for index in lagging_indexes():
        world.keep_up(index)
    texts = list(Document.objects.filter(base=base).values_list("text", flat=True))
    assert set(world.found(base, "The bridge is old.")) == set(texts)
    assert live_index(base).covered_seq == KnowledgeBase.objects.get(pk=base.pk).write_seq
    assert not VectorIndex.objects.filter(covered_seq__gt=F("base__write_seq")).exists()
    # What the collector took of ways back was theirs only by its early clock.
    Plan.objects.update(retention_until=None)
    assert_nothing_wrong()
