"""What a switch does with what its index lacks, and with an index that is not what its row says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db.models import F

from engines.models import Chunk, KnowledgeBase, VectorIndex
from engines.services.knowledge.documents import create_base
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from migrations_app.steps.meaning import POOL, draw_questions
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.knowledge.hash_embedder import HashEmbedder
from tests.knowledge.world import add
from tests.plans.hash_world import NEEDS_AN_ENGINE, HashWorld, leave_out, live_index
from worker.steps.runner import StepFailedError, run_step

TEXTS = ("the first words", "the second words", "the third words")
controller = MigrationController()


def re_embedding(world: HashWorld, base: KnowledgeBase) -> Plan:
    """Start a plan that gives a base the space of ``new``."""
    plan_id = controller.create_re_embed_plan(base, "new", actor=world.user)
    controller.execute_migration(plan_id)
    return Plan.objects.get(pk=plan_id)


def run_to(plan: Plan, kind: str) -> int:
    """Run the steps before one of a kind; return its key."""
    for step in plan.steps.order_by("position"):
        if step.kind == kind:
            return step.pk
        run_step(step.pk)
    raise AssertionError(f"the plan has no step {kind}")


def test_a_text_that_many_documents_hold_is_asked_about_once(world: HashWorld) -> None:
    base = world.base("Notes", *(["the same licence of all"] * 30), *TEXTS)

    index = live_index(base)
    late = [f"written late {number}" for number in range(3)]
    for text in late:
        add(base, text)
    world.keep_up(index)

    drawn = draw_questions(index, 7, size=20)
    of_all = draw_questions(index, 7, size=20, is_beyond_file=True)

    once = ["the same licence of all", *TEXTS]
    assert sorted(question.text for question in drawn) == sorted(once)
    assert sorted(question.text for question in of_all) == sorted([*once, *late])


def test_other_texts_are_asked_about_where_nearly_all_passages_say_the_same(
    world: HashWorld,
) -> None:
    texts = [f"a text of its own, number {number}" for number in range(40)]
    base = world.base("Notes", *texts)
    footer = Chunk.objects.filter(base=base).values().earliest("pk")
    same = {name: value for name, value in footer.items() if name != "id"}
    Chunk.objects.bulk_create(Chunk(**same) for _ in range(2 * POOL))

    drawn = draw_questions(live_index(base), 7, size=100)

    assert sorted(question.text for question in drawn) == sorted(texts)


def test_an_index_that_holds_less_than_its_row_says_is_not_switched_to(world: HashWorld) -> None:
    base = world.base("Notes", *TEXTS)
    plan = re_embedding(world, base)
    probe = run_to(plan, "probe")
    new = VectorIndex.objects.filter(base=base, fingerprint__revision__model__model_id="new")
    assert new.update(file_count=F("file_count") + 1) == 1

    with pytest.raises(StepFailedError, match="does not hold 4 rows"):
        run_step(probe)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.FAILED
    assert world.spaces() == ["old"]


@pytest.mark.parametrize("tail", [(), ("words written late",)], ids=["nothing", "one text"])
def test_the_switch_asks_for_an_embedder_only_when_something_is_missing(
    world: HashWorld, monkeypatch: pytest.MonkeyPatch, tail: tuple[str, ...]
) -> None:
    """To load one takes seconds, in which writers go on writing."""
    base = world.base("Notes", *TEXTS)
    plan = re_embedding(world, base)
    switch = run_to(plan, "cut_over")
    for text in tail:
        add(base, text)
    lent: list[str] = []

    @contextmanager
    def lend(host: Any, revision: Any, *rest: Any) -> Iterator[HashEmbedder]:
        lent.append(revision.model.model_id)
        with world.lender.lend(host, revision, *rest) as embedder:
            yield embedder

    monkeypatch.setattr("worker.steps.context.lend_embedder", lend)
    run_step(switch)

    assert lent == ["new"] * len(tail)
    assert world.spaces() == ["new"]
    assert set(world.found(base, TEXTS[0])) == {*TEXTS, *tail}


def test_a_way_back_counts_what_each_of_its_attempts_embedded(
    world: HashWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = world.base("Notes", *TEXTS)
    plan = world.migrated("new")
    for number in range(40):
        add(base, f"written after the switch, number {number}{' unreadable' * (number == 39)}")
    back = Plan.objects.get(pk=controller.roll_back_migration(plan.pk))
    leave_out(back.pk, NEEDS_AN_ENGINE)
    step = back.steps.get(kind="catch_up")
    embedder = world.lender.of("old")
    embedder.unreadable = "unreadable"

    embedder.before = lambda: monkeypatch.setattr("worker.steps.lease.is_draining", lambda: True)
    assert run_step(step.pk) == "Put back: the worker is ending."
    monkeypatch.setattr("worker.steps.lease.is_draining", lambda: False)
    embedder.before = lambda: None
    world.run(back)

    step.refresh_from_db()
    assert step.result == {"embedded": 39, "failed": 1, "cut": 0}
    assert step.detail.endswith("since: 39 texts embedded, 1 could not be.")
    assert len(embedder.texts) == len(TEXTS) + 40


def test_a_base_without_texts_is_moved_and_nothing_is_said_to_be_lost(world: HashWorld) -> None:
    """Nobody builds a file of nothing, so its index before had none."""
    create_base(owner=world.user, name="Empty")

    plan = world.migrated("new")
    assert_nothing_wrong(world.store)
    world.taken_back(plan)

    assert world.spaces() == ["old"]
    assert_nothing_wrong(world.store)
