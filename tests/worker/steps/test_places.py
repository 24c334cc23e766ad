"""Long work never takes a worker's last thread, and whoever waits for a place gets one."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from engines.exceptions import SamError
from engines.models import Chunk, ModelRevision
from migrations_app.models import Backup, Plan, Step
from migrations_app.plans.transitions import Outcome, call_ready
from migrations_app.states import PlanKind
from migrations_app.steps import lengths
from migrations_app.steps.base import StepContext
from migrations_app.steps.lengths import is_long
from tests.knowledge.world import fill, make_base, make_model, make_space
from tests.worker.conftest import Install
from tests.worker.plans import first_step, make_host, make_plan
from tests.worker.processes import PATIENCE, WorkerProcess, journal, wait_until
from tests.worker.test_workers import begun, let_lease_end, plan_that, status_of, sweep_until
from worker.steps.places import PROMISE_SECONDS, WAITS, LongPlaces, LongWork
from worker.steps.runner import run_step

GIB = 1 << 30


class Line:
    """Places of a worker, and the messages by which it is called."""

    def __init__(self, threads: int) -> None:
        self.now = 0.0
        self.places = LongPlaces(lambda: self.now)
        self.places.limit(threads)
        self.messages: Queue[LongWork] = Queue()

    def work(self, key: int, person: int = 1) -> LongWork:
        work = LongWork("step", key, person, lambda: self.messages.put(work))
        return work

    def called(self) -> list[int | str]:
        found = []
        while not self.messages.empty():
            found.append(self.messages.get().key)
        return found


@pytest.mark.parametrize(("threads", "together"), [(1, 1), (2, 1), (4, 3)])
def test_long_work_leaves_a_thread_and_is_called_in_its_turn(threads: int, together: int) -> None:
    line = Line(threads)
    works = [line.work(key) for key in range(together + 2)]
    with ExitStack() as held:
        first = ExitStack()
        assert first.enter_context(line.places.hold(works[0]))
        for work in works[1:together]:
            assert held.enter_context(line.places.hold(work))
        for work in works[together:]:
            assert not held.enter_context(line.places.hold(work)), "no place is left"
            assert not held.enter_context(line.places.hold(work)), (
                "a second message changes nothing"
            )
        assert line.places.is_waited_for
        assert line.called() == []

        first.close()

        assert line.called() == [together]
        newcomer = line.work(99)
        assert not held.enter_context(line.places.hold(newcomer)), (
            "the place is kept for who was called"
        )
        assert line.places.known_steps() == {together, together + 1, 99}
        assert held.enter_context(line.places.hold(works[together]))


def test_people_are_called_one_after_the_other_and_who_gives_way_goes_behind() -> None:
    line = Line(2)
    mine = [line.work(key, person=1) for key in (1, 2, 3)]
    other = line.work(4, person=2)
    with line.places.hold(mine[0]):
        for waiting in (*mine[1:], other):
            with line.places.hold(waiting) as has_place:
                assert not has_place
        # It puts itself back: its own message is read before its place is free.
        with line.places.hold(mine[0]) as has_place:
            assert not has_place
    order = []
    for work in {2: mine[1], 4: other, 3: mine[2], 1: mine[0]}.values():
        order += line.called()
        with line.places.hold(work) as has_place:
            assert has_place

    assert order == [2, 4, 3, 1]
    assert not line.places.is_waited_for


def test_a_place_that_nobody_comes_for_and_a_call_that_fails_hold_nobody_up() -> None:
    line = Line(2)

    def fail() -> None:
        raise SamError("Redis is away.")

    lost, patient = LongWork("step", 2, 1, fail), line.work(3)
    with line.places.hold(line.work(1)):
        for work in (lost, patient):
            with line.places.hold(work):
                pass
    assert line.called() == []

    line.now += PROMISE_SECONDS + 1
    with line.places.hold(line.work(4, person=2)) as has_place:
        assert not has_place, "others wait longer"

    assert line.called() == [3]


def test_threads_that_race_for_places_do_all_work_once_and_never_take_the_last_thread() -> None:
    threads, total = 4, 60
    line = Line(threads)
    lock, running, most, done = threading.Lock(), 0, 0, Counter[int | str]()

    def serve() -> None:
        nonlocal running, most
        while sum(done.values()) < total:
            try:
                work = line.messages.get(timeout=0.02)
            except Empty:
                continue
            with line.places.hold(work) as has_place:
                if not has_place:
                    continue
                with lock:
                    running += 1
                    most = max(most, running)
                threading.Event().wait(0.001)
                with lock:
                    running -= 1
                    done[work.key] += 1

    for key in range(total):
        line.messages.put(line.work(key, person=key % 7))
    workers = [threading.Thread(target=serve, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)

    assert done == Counter(range(total))
    assert most <= threads - 1


# --- which steps are long ---------------------------------------------------------------------


def large(revision: ModelRevision, size: int = 2 * GIB) -> ModelRevision:
    ModelRevision.objects.filter(pk=revision.pk).update(file_size=size)
    revision.refresh_from_db()
    return revision


def person_with(texts: int) -> User:
    user = User.objects.create_user(f"person-{texts}")
    fill(make_base(user, make_space(f"space-{texts}")), texts, first=texts * 1_000_000)
    return user


def plan_for(kind: PlanKind, **fields: Any) -> Plan:
    plan = make_plan(kind)
    Plan.objects.filter(pk=plan.pk).update(**fields)
    return Plan.objects.get(pk=plan.pk)


def long_kinds(plan: Plan) -> set[str]:
    steps = plan.steps.select_related("plan", "host")
    return {step.kind for step in steps if is_long(step)}


@pytest.mark.django_db
def test_a_step_is_long_by_what_it_reads_brings_or_embeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table: what a plan is about, and its steps that take long."""
    monkeypatch.setattr(lengths, "LONG_TEXTS", 8)
    monkeypatch.setattr(lengths, "LONG_ROWS", 20)
    few, many, very_many = person_with(8), person_with(9), person_with(21)
    new, small = large(make_model("new")), make_model("small")
    same = Chunk.objects.filter(base__owner=many)[0].base.live_index
    assert same is not None
    archive = {"sha256": "0" * 64, "artifact_key": "backups/x"}
    backup = Backup.objects.create(user=few, file_size=GIB, **archive)
    light = Backup.objects.create(user=few, file_size=1000, **archive)
    at_new, at_small = {"to_revision": new}, {"to_revision": small}

    at_same = {"embedder_revision": same.fingerprint.revision}
    table: list[tuple[PlanKind, dict[str, Any], set[str]]] = [
        (PlanKind.DOWNLOAD, at_new, {"download"}),
        (PlanKind.DOWNLOAD, at_small, set()),
        (PlanKind.VERIFY, at_new, {"verify"}),
        (PlanKind.VERIFY, at_small, set()),
        (PlanKind.DELETE, at_new, set()),
        (PlanKind.MIGRATE, {"user": few, **at_small}, set()),
        (PlanKind.MIGRATE, {"user": few, **at_new}, {"fetch_engine"}),
        (PlanKind.MIGRATE, {"user": many, **at_small}, {"re_embed", "probe"}),
        (PlanKind.MIGRATE, {"user": many, **at_same}, set()),
        (PlanKind.MIGRATE, {"user": many, "re_embed_knowledge": False}, set()),
        (PlanKind.MIGRATE, {"user": very_many}, {"back_up", "re_embed", "probe"}),
        (PlanKind.BACKUP, {"user": very_many}, {"back_up"}),
        (PlanKind.BACKUP, {"user": many}, set()),
        (PlanKind.RESTORE, {"user": few, "restores": light}, set()),
        (
            PlanKind.RESTORE,
            {"user": many, "restores": backup},
            {"read_archive", "put_back", "index_anew"},
        ),
        (PlanKind.ROLLBACK, {"user": few}, set()),
    ]

    found = []
    for kind, fields, _ in table:
        plan = plan_for(kind, **fields)
        found.append((kind, long_kinds(plan)))
        plan.delete()
    assert found == [(kind, expected) for kind, _, expected in table]


# --- a worker's own runner --------------------------------------------------------------------


def in_thread(call: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            call()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def long_plan(kind: PlanKind, person: User) -> Plan:
    revision = ModelRevision.objects.filter(file_size=2 * GIB).first() or large(make_model("large"))
    backup = Backup.objects.create(
        user=person, file_size=GIB, sha256="0" * 64, artifact_key="backups/x"
    )
    return plan_for(kind, created_by=person, to_revision=revision, restores=backup)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", [PlanKind.DOWNLOAD, PlanKind.VERIFY, PlanKind.RESTORE])
def test_a_host_busy_with_long_steps_does_a_short_one_at_once(
    kind: PlanKind, handle: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = LongPlaces()
    places.limit(2)
    monkeypatch.setattr("worker.steps.runner.long_places", places)
    has_begun, may_end = threading.Event(), threading.Event()

    def take_long(ctx: StepContext) -> Outcome:
        has_begun.set()
        assert may_end.wait(PATIENCE)
        return Outcome("Done.")

    ada, bob = User.objects.create_user("ada"), User.objects.create_user("bob")
    running, waiting, short = long_plan(kind, ada), long_plan(kind, ada), plan_for(PlanKind.DELETE)
    handle(first_step(running).kind, take_long)
    handle("delete", lambda _: Outcome("Deleted."))
    thread = in_thread(lambda: run_step(first_step(running).pk))
    assert has_begun.wait(PATIENCE)

    assert run_step(first_step(waiting).pk) == WAITS
    assert run_step(first_step(short).pk) == "Deleted.", f"{bob} does not wait for {ada}"

    step = first_step(waiting)
    assert (step.status, step.detail, step.attempts, step.fence) == ("pending", WAITS, 0, 0)
    may_end.set()
    thread.join(PATIENCE)
    assert first_step(waiting).publish_count == step.publish_count + 1, "it is called"
    assert run_step(step.pk) == "Done."
    assert run_step(step.pk).startswith("Nothing to do")


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_begins_calls_what_the_one_before_had_no_place_for(redis_client: Any) -> None:
    here, elsewhere = make_plan(), make_plan(host=make_host("elsewhere"))
    later = make_plan()
    Step.objects.filter(plan=later).update(ready_at="2999-01-01T00:00Z")
    counts = [first_step(plan).publish_count for plan in (here, elsewhere, later)]

    assert call_ready(make_host()) == 1
    assert call_ready(None) == 0

    called = [first_step(plan).publish_count for plan in (here, elsewhere, later)]
    assert called == [counts[0] + 1, *counts[1:]]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_forgets_who_waited_for_a_place_and_the_next_one_does_all_once(
    tmp_path: Path, redis_client: Any
) -> None:
    revision = large(make_model("large"))
    folders = [tmp_path / name for name in ("long", "short")]
    for folder in folders:
        folder.mkdir()
    plans = [plan_that("wait", folders[0]) for _ in range(5)]
    Plan.objects.filter(pk__in=[plan.pk for plan in plans]).update(to_revision=revision)
    with WorkerProcess(tmp_path, name="first") as first:
        begun(folders[0], 3)
        wait_until(lambda: first.log.read_text().count(WAITS) >= 2, "two to wait")
        short = plan_that("quick", folders[1])
        wait_until(lambda: status_of(short) == "completed", "the short one")
        assert len(journal(folders[0], "begin")) == 3
    dead = [plan for plan in plans if first_step(plan).status == "in_progress"]
    with WorkerProcess(tmp_path, name="second"):
        begun(folders[0], 5)
        (folders[0] / "go").touch()
        for plan in dead:
            let_lease_end(plan)
        for plan in plans:
            sweep_until(plan, "completed")

    assert len(dead) == 3
    assert len(journal(folders[0], "effect")) == 5
