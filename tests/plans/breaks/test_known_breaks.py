"""Eleven ways in which a switch like this one is known to break, each with the test that it does not.

1. A worker that was frozen repeats the switch after the rollback.
2. Readiness is measured by the file, so that text embedded since its build never counts.
3. The check does not see a writer whose commit it waited for.
4. Nothing could be switched, and the four reasons for it are treated alike.
5. Compaction gives an index another file between its build and the switch.
6. A base created meanwhile is missed; writers of two bases deadlock with the switch.
7. Deleted text comes back with an index that was frozen before.
8. Chunks are changed in place, so that no file knows what it holds.
9. One "old" pointer cannot go A → B → C and back; what the way back needs is thrown away.
10. The rollback overwrites what a person edited since; the switch what they chose meanwhile.
11. A text that cannot be embedded, or is there many times, keeps a plan from its end.

The first six are here, the others in ``test_known_breaks_of_content``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from django.db import transaction

from engines.models import KnowledgeBase, VectorIndex
from engines.services.knowledge.documents import add_document, create_base, delete_base
from engines.services.knowledge.fingerprints import fingerprint_for
from engines.services.knowledge.indexes import build_file, index_for
from engines.services.people.preferences import EngineChoice, preference_of, write_preference
from migrations_app.models import Plan, Step
from migrations_app.plans.transitions import (
    Claim,
    LeaseLostError,
    Outcome,
    claim_step,
    finish_step,
)
from migrations_app.states import PlanStatus
from migrations_app.steps.base import TryAgainError
from migrations_app.steps.switch import cut_over, switch_effects
from tests.knowledge.world import (
    WAIT_SECONDS,
    Threads,
    add,
    wait_until_somebody_waits_for_a_lock,
)
from tests.plans.hash_world import HashWorld, all_rows, live_index
from worker.steps.context import WorkerContext
from worker.steps.lease import keeper
from worker.steps.runner import StepFailedError, run_step

TEXTS = ("the first words", "the second words", "the third words")


def step_of(plan: Plan, kind: str) -> Step:
    return Step.objects.select_related("plan", "host").get(plan=plan, kind=kind)


def at_its_switch(world: HashWorld) -> Plan:
    """A migration of which everything but the switch is done."""
    plan = world.migration("new")
    run_step(step_of(plan, "re_embed").pk)
    return plan


def target_of(plan: Plan, base: KnowledgeBase) -> VectorIndex:
    return plan.index_switches.get(base=base).to_index


# --- 1: the frozen worker ----------------------------------------------------------------------


@pytest.fixture
def zombie(world: HashWorld) -> Claim:
    """The claim under which a plan was switched that has been taken back since."""
    world.base("Notes", *TEXTS)
    plan = world.migrated("new")
    assert world.spaces() == ["new"]
    world.taken_back(plan)
    assert plan.status == PlanStatus.ROLLED_BACK
    assert world.spaces() == ["old"]
    step = step_of(plan, "cut_over")
    return Claim(step.pk, step.fence, "frozen")


def repeat_the_switch(claim: Claim) -> None:
    plan = Step.objects.select_related("plan").get(pk=claim.step_id).plan
    finish_step(claim, Outcome("Switched.", effects=switch_effects(plan)))


def test_1_a_thawed_worker_repeats_the_switch_after_the_rollback_and_changes_nothing(
    zombie: Claim,
) -> None:
    before = all_rows()

    repeat_the_switch(zombie)

    assert all_rows() == before


def test_1_a_thawed_worker_of_an_older_fence_is_sent_away(zombie: Claim) -> None:
    before = all_rows()

    with pytest.raises(LeaseLostError):
        repeat_the_switch(Claim(zombie.step_id, zombie.fence - 1, zombie.owner))

    assert all_rows() == before


def test_1_a_thawed_worker_that_begins_the_switch_anew_prepares_nothing(
    world: HashWorld, zombie: Claim
) -> None:
    create_base(owner=world.user, name="Created since")
    step = Step.objects.select_related("plan", "host").get(pk=zombie.step_id)
    before = all_rows()

    with (
        keeper.hold_step(zombie, taken_at=time.monotonic()) as lease,
        pytest.raises(LeaseLostError),
    ):
        cut_over(WorkerContext(step, zombie, lease, world.host))

    assert all_rows() == before


# --- 2: what ready means -----------------------------------------------------------------------


def test_2_text_embedded_since_the_build_is_ready_without_a_new_file(world: HashWorld) -> None:
    base = world.base("Notes", *TEXTS)
    plan = at_its_switch(world)
    target = target_of(plan, base)
    add(base, "words after the build")

    run_step(step_of(plan, "cut_over").pk)

    live = live_index(base)
    assert (live.pk, live.file_key, live.base_seq) == (target.pk, target.file_key, len(TEXTS))
    assert live.base.write_seq == len(TEXTS) + 1
    assert world.found(base, "words after the build")[0] == "words after the build"
    assert world.answers_for_the_database()


# --- 3: the writer the check waited for --------------------------------------------------------


def test_3_a_writer_who_commits_while_the_switch_waits_for_the_lock_is_seen(
    world: HashWorld, threads: Threads
) -> None:
    base = world.base("Notes", *TEXTS)
    plan = at_its_switch(world)
    claim = claim_step(step_of(plan, "cut_over").pk, "worker")
    assert claim is not None
    before = all_rows()
    written, may_commit = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            add(base, "words that nobody has embedded")
            written.set()
            assert may_commit.wait(WAIT_SECONDS)

    writer = threads.start(write)
    assert written.wait(WAIT_SECONDS)
    switch = threads.start(lambda: repeat_the_switch(claim))
    wait_until_somebody_waits_for_a_lock()
    may_commit.set()

    with pytest.raises(TryAgainError, match="'Notes' got new text"):
        switch.result(WAIT_SECONDS)
    writer.result(WAIT_SECONDS)
    mine = (
        "engines.Chunk",
        "engines.Document",
        "engines.KnowledgeBase",
        "engines.PassageWords",
    )
    after = all_rows()
    assert {k: v for k, v in after.items() if k not in mine} == {
        k: v for k, v in before.items() if k not in mine
    }
    assert world.spaces() == ["old"]

    world.keep_up(target_of(plan, base))
    repeat_the_switch(claim)

    assert world.spaces() == ["new"]
    assert world.answers_for_the_database()


# --- 4: four reasons why nothing was switched --------------------------------------------------


def test_4_lag_is_made_up_for_and_then_switched(world: HashWorld) -> None:
    base = world.base("Notes", *TEXTS)
    plan = at_its_switch(world)
    add(base, "a tail")
    world.lender.of("new").texts.clear()

    assert run_step(step_of(plan, "cut_over").pk) == "Switched to new in one transaction."

    assert world.lender.of("new").texts == ["a tail"]
    assert world.spaces() == ["new"]


def test_4_what_is_done_already_is_success_and_done_once(world: HashWorld) -> None:
    """The COMMIT's answer was lost."""
    world.base("Notes", *TEXTS)
    plan = at_its_switch(world)
    claim = claim_step(step_of(plan, "cut_over").pk, "worker")
    assert claim is not None
    repeat_the_switch(claim)
    before = all_rows()

    repeat_the_switch(claim)

    assert all_rows() == before
    assert Plan.objects.get(pk=plan.pk).status == PlanStatus.COMPLETED


def choose_another_engine(world: HashWorld, _base: KnowledgeBase) -> None:
    write_preference(preference_of(world.user), EngineChoice(None, None, "mine"), why="By hand.")


def give_another_index(world: HashWorld, base: KnowledgeBase) -> None:
    third = world.engine("third")
    index = index_for(base, fingerprint_for(third.model, third))
    KnowledgeBase.objects.filter(pk=base.pk).update(live_index=index)


@pytest.mark.parametrize("change", [choose_another_engine, give_another_index])
def test_4_what_somebody_else_changed_ends_the_plan_and_stays(
    world: HashWorld, change: Callable[[HashWorld, KnowledgeBase], None]
) -> None:
    base = world.base("Notes", *TEXTS)
    plan = at_its_switch(world)
    change(world, base)
    before = all_rows()

    with pytest.raises(StepFailedError, match="make a new plan"):
        run_step(step_of(plan, "cut_over").pk)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.FAILED
    after = all_rows()
    of_the_plan = (
        "migrations_app.Plan",
        "migrations_app.Step",
        "migrations_app.PlanEvent",
        "migrations_app.AuditEntry",
        # Its person is told of its end.
        "engines.Notice",
        "engines.OutgoingMail",
    )
    assert {k: v for k, v in after.items() if k not in of_the_plan} == {
        k: v for k, v in before.items() if k not in of_the_plan
    }


def test_4_a_deleted_base_is_left_out_and_the_others_are_switched(world: HashWorld) -> None:
    base, _other = world.base("Notes", *TEXTS), world.base("Other", "other words")
    plan = at_its_switch(world)
    delete_base(base.pk)

    run_step(step_of(plan, "cut_over").pk)

    plan.refresh_from_db()
    assert (plan.status, world.spaces()) == (PlanStatus.COMPLETED, ["new"])


def test_4_a_base_deleted_while_it_is_embedded_does_not_end_the_plan(world: HashWorld) -> None:
    base, other = world.base("Notes", *TEXTS), world.base("Other", "other words")
    plan = world.migration("new")
    embedder = world.lender.of("new")

    def delete_once() -> None:
        if KnowledgeBase.objects.filter(pk=base.pk).exists():
            delete_base(base.pk)

    embedder.before = delete_once

    world.run(plan)

    assert (plan.status, world.spaces()) == (PlanStatus.COMPLETED, ["new"])
    assert plan.switched["bases"] == [[other.pk, *_indexes(plan), True]]
    assert world.answers_for_the_database()


def _indexes(plan: Plan) -> list[int | None]:
    one = plan.index_switches.get()
    return [one.from_index_id, one.to_index_id]


# --- 5: compaction -----------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["old", "new"])
def test_5_a_file_built_again_before_the_switch_does_not_hold_it_back(
    world: HashWorld, whose: str
) -> None:
    base = world.base("Notes", *TEXTS)
    plan = at_its_switch(world)
    index = live_index(base) if whose == "old" else target_of(plan, base)
    add(base, "words that are compacted")
    world.keep_up(index)
    again = build_file(index, world.store, world.folder, checkpoint=lambda: None)
    assert (again.file_key != index.file_key, again.base_seq) == (True, len(TEXTS) + 1)

    run_step(step_of(plan, "cut_over").pk)

    plan.refresh_from_db()
    assert plan.switched["bases"] == [[base.pk, *_indexes(plan), True]]
    assert world.spaces() == ["new"]
    assert world.answers_for_the_database()


# --- 6: several bases --------------------------------------------------------------------------


def test_6_bases_created_meanwhile_are_moved_and_taken_back_with_the_others(
    world: HashWorld,
) -> None:
    world.base("Notes", *TEXTS)
    plan = world.migration("new")
    world.base("Created before it began", "some words")
    run_step(step_of(plan, "re_embed").pk)
    late = world.base("Created before the switch", "other words")

    run_step(step_of(plan, "cut_over").pk)

    assert world.spaces() == ["new"] * 3
    assert world.found(late, "other words") == ["other words"]
    world.base("Created after the switch", "new words")
    assert world.spaces() == ["new"] * 4

    world.taken_back(plan)

    assert world.spaces() == ["old"] * 4
    assert world.answers_for_the_database()


def test_6_a_base_created_while_the_switch_waits_sends_it_back_for_that_base(
    world: HashWorld, threads: Threads
) -> None:
    world.base("Notes", *TEXTS)
    plan = at_its_switch(world)
    claim = claim_step(step_of(plan, "cut_over").pk, "worker")
    assert claim is not None

    with transaction.atomic():
        create_base(owner=world.user, name="Late")
        switch = threads.start(lambda: repeat_the_switch(claim))
        wait_until_somebody_waits_for_a_lock()

    with pytest.raises(TryAgainError, match="'Late' was created meanwhile"):
        switch.result(WAIT_SECONDS)
    assert world.spaces() == ["old", "old"]


def test_6_writers_of_two_bases_and_a_creator_never_deadlock_with_the_switch(
    world: HashWorld, threads: Threads
) -> None:
    bases = [world.base(name, *TEXTS) for name in ("First", "Second")]
    done = threading.Event()

    def writer(order: list[KnowledgeBase]) -> Callable[[], int]:
        def write() -> int:
            written = 0
            while not done.wait(0.05):
                for base in order:
                    add_document(base.pk, title="T", text=f"text {written}", embed=world.embed)
                    written += 1
            return written

        return write

    def create() -> int:
        created = 0
        while not done.wait(0.3):
            delete_base(create_base(owner=world.user, name="Passing").pk)
            created += 1
        return created

    busy = [threads.start(act) for act in (writer(bases), writer(bases[::-1]), create)]
    try:
        plan = world.migrated("new")
        assert set(world.spaces()) == {"new"}, plan.error_message
        world.taken_back(plan)
        assert set(world.spaces()) == {"old"}
    finally:
        done.set()

    assert all(future.result(WAIT_SECONDS) > 0 for future in busy)
    assert world.answers_for_the_database()
