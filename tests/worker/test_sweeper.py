from __future__ import annotations

import json
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from redis import Redis

from engines.db.session_locks import in_turn
from engines.exceptions import HostUnavailableError
from engines.models import (
    ApiToken,
    CopyStatus,
    FallbackIncident,
    Host,
    HostStatus,
    KnowledgeBase,
    ModelCopy,
    Notice,
    NoticeKind,
    OutgoingMail,
    WatchedFolder,
)
from migrations_app.collection.collect import LOCK as COLLECTION_LOCK
from migrations_app.models import CollectionRun, MassMove, Plan, Step
from migrations_app.plans.transitions import claim_step
from migrations_app.queues import CONTROL_QUEUE, work_queue
from migrations_app.states import PlanKind
from tests.knowledge.world import live_index, make_base, make_space
from tests.plans.test_after_the_switch import held
from tests.plans.test_host_care import make_copy
from tests.worker.locks import held_elsewhere
from tests.worker.plans import first_step, make_host, make_plan, rows
from worker.host.resources import scratch_folder
from worker.sweeper import LEFTOVER_AGE, LOCK, collect_when_due, remove_leftovers, sweep

pytestmark = pytest.mark.django_db(transaction=True)


def sent(redis: Redis, host: str = "") -> int:
    queue = work_queue(host or settings.SAM_HOST_NAME)
    return int(redis.llen(f"sam:{queue}"))


def published_ago(step: Step, seconds: float, count: int) -> None:
    Step.objects.filter(pk=step.pk).update(
        published_at=timezone.now() - timedelta(seconds=seconds), publish_count=count
    )


def expire_lease(step: Step) -> None:
    Step.objects.filter(pk=step.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_what_redis_lost_is_sent_again(redis_client: Redis) -> None:
    step = first_step(make_plan())
    assert sent(redis_client) == 1
    redis_client.flushall()
    published_ago(step, 60, count=1)

    assert sweep().startswith("1 steps sent again, ")

    assert sent(redis_client) == 1
    step.refresh_from_db()
    assert step.publish_count == 2


@pytest.mark.parametrize(
    ("seconds", "count", "messages"),
    [(1, 1, 0), (3, 1, 1), (7, 3, 0), (9, 3, 1), (290, 30, 0), (301, 30, 1), (301, 2_000_000, 1)],
)
def test_the_gap_between_messages_grows_up_to_a_limit(
    redis_client: Redis, seconds: float, count: int, messages: int
) -> None:
    step = first_step(make_plan())
    redis_client.flushall()
    published_ago(step, seconds, count)

    sweep()

    assert sent(redis_client) == messages


@pytest.mark.parametrize(
    "facts",
    [
        {"status": HostStatus.LOST},
        {"status": HostStatus.RETIRED},
        {"announces": ["download"]},
        {"last_seen": timezone.now() - timedelta(minutes=10)},
    ],
    ids=["lost", "retired", "does-not-know-the-step", "silent"],
)
def test_a_host_that_cannot_do_the_step_gets_no_message(
    redis_client: Redis, facts: dict[str, Any]
) -> None:
    host = make_host("h2")
    step = first_step(make_plan(host=host))
    redis_client.flushall()
    published_ago(step, 600, count=1)
    Host.objects.filter(pk=host.pk).update(**facts)

    sweep()

    assert sent(redis_client, "h2") == 0


def test_a_step_whose_holder_died_is_sent_again_and_one_that_lives_is_not(
    redis_client: Redis,
) -> None:
    dead, alive = first_step(make_plan()), first_step(make_plan())
    for step in (dead, alive):
        claim_step(step.pk, "worker")
        published_ago(step, 60, count=1)
    expire_lease(dead)
    redis_client.flushall()

    sweep()

    assert sent(redis_client) == 1
    counts = Step.objects.in_bulk([dead.pk, alive.pk])
    assert (counts[dead.pk].publish_count, counts[alive.pk].publish_count) == (2, 1)


def test_steps_that_are_not_ready_or_done_are_left_alone(redis_client: Redis) -> None:
    plan = make_plan(PlanKind.MIGRATE)
    first = first_step(plan)
    Step.objects.filter(pk=first.pk).update(ready_at=timezone.now() + timedelta(seconds=60))
    redis_client.flushall()
    before = rows(plan)

    assert sweep().startswith("0 steps sent again, ")

    assert rows(plan) == before


def test_a_silent_host_is_marked_lost_and_a_retired_one_stays_retired() -> None:
    long_ago = timezone.now() - timedelta(seconds=51)
    make_host("quiet", last_seen=long_ago)
    make_host("gone", last_seen=long_ago, status=HostStatus.RETIRED)
    make_host("here")

    sweep()

    statuses = dict(Host.objects.values_list("name", "status"))
    assert statuses == {"quiet": "lost", "gone": "retired", "here": "active"}


def test_a_plan_to_be_cancelled_whose_holder_died_is_cancelled() -> None:
    plan = make_plan(PlanKind.MIGRATE)
    claim_step(first_step(plan).pk, "worker")
    Plan.objects.filter(pk=plan.pk).update(cancel_requested_at=timezone.now())

    sweep()
    plan.refresh_from_db()
    assert plan.status == "in_progress"

    expire_lease(first_step(plan))
    sweep()
    plan.refresh_from_db()
    assert plan.status == "cancelled"
    assert set(plan.steps.values_list("status", flat=True)) == {"cancelled"}


def test_a_plan_to_be_cancelled_that_nobody_has_begun_is_cancelled() -> None:
    plan, other = make_plan(PlanKind.MIGRATE), make_plan(PlanKind.MIGRATE)
    before = rows(other)
    Plan.objects.filter(pk=plan.pk).update(cancel_requested_at=timezone.now())

    assert "1 plans cancelled" in sweep()
    assert "0 plans cancelled" in sweep()

    plan.refresh_from_db()
    assert (plan.status, rows(other)) == ("cancelled", before)
    assert set(plan.steps.values_list("status", flat=True)) == {"cancelled"}


def test_backups_that_wait_for_a_host_hold_up_nothing_else(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = first_step(make_plan())

    def without_a_host() -> int:
        raise HostUnavailableError("No host is active.")

    monkeypatch.setattr("worker.sweeper.start_due_backups", lambda: 2)
    assert "2 plans started at their time" in sweep()
    monkeypatch.setattr("worker.sweeper.start_due_backups", without_a_host)
    published_ago(step, 60, count=1)
    redis_client.flushall()

    said = sweep()

    assert said.startswith("1 steps sent again, ")
    assert "0 plans started at their time" in said
    assert sent(redis_client) == 1


def test_only_bases_with_text_and_without_an_index_are_given_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ada = User.objects.create(username="ada")
    KnowledgeBase.objects.create(owner=ada, name="Empty")
    indexed = make_base(ada, make_space("space"), "Indexed")
    KnowledgeBase.objects.filter(pk=indexed.pk).update(write_seq=1)
    waiting = KnowledgeBase.objects.create(owner=ada, name="Waiting", write_seq=1)
    asked: list[int] = []
    monkeypatch.setattr("worker.sweeper.adopt_index", asked.append)

    sweep()

    assert asked == [waiting.pk]


@pytest.fixture
def host() -> Host:
    return make_host()


def called(redis: Redis, queue: str) -> list[str]:
    """Return the names of the tasks that wait in a queue."""
    messages = redis.lrange(f"sam:{queue}", 0, -1)
    return sorted(json.loads(message)["headers"]["task"] for message in messages)


@pytest.fixture
def half_done(host: Host) -> ModelCopy:
    """Something of each kind that goes on by itself, and a half-fetched copy of the engine ``tiny``."""
    long_ago = timezone.now() - timedelta(days=900)
    ada = User.objects.create(username="ada")
    base = make_base(ada, make_space("space"))
    index = live_index(base)
    KnowledgeBase.objects.update(write_seq=1, embed_on_write_for=index)
    copy, embedder = make_copy(host), index.fingerprint.revision
    ModelCopy.objects.filter(pk=copy.pk).update(status=CopyStatus.DOWNLOADING)
    held(embedder, host)
    WatchedFolder.objects.create(
        base=base, host=host, path="/srv/x", name="x", every_seconds=60, next_look_at=long_ago
    )
    ApiToken.objects.create(user=ada, name="old", sha256=b"1" * 32, expires_at=long_ago)
    Notice.objects.create(user=ada, kind=NoticeKind.PLAN_DONE, title="Done")
    Notice.objects.update(created_at=long_ago)
    FallbackIncident.objects.create(
        revision=copy.revision, answered_by=embedder, reason="Away.", last_at=long_ago
    )
    OutgoingMail.objects.create(user=ada, subject="Done")
    MassMove.objects.create(to_engine=copy.revision.model)
    return copy


def test_one_look_goes_on_with_everything_that_nobody_asks_for(
    redis_client: Redis, host: Host, half_done: ModelCopy
) -> None:
    sweep()

    base = KnowledgeBase.objects.get()
    half_done.refresh_from_db()
    assert (base.words_seq, base.embed_on_write_for) == (1, None)
    assert half_done.status == CopyStatus.NOT_DOWNLOADED
    assert not ApiToken.objects.exists()
    assert not Notice.objects.exists()
    assert not FallbackIncident.objects.filter(ended_at=None).exists()
    ours = called(redis_client, work_queue(host.name))
    assert ours == ["knowledge.keep_up", "knowledge.look_at_folder"]
    wanted = ["control.collect", "control.mail", "control.mass_moves"]
    assert called(redis_client, CONTROL_QUEUE) == wanted


def test_where_nothing_waits_nobody_is_called(redis_client: Redis, half_done: ModelCopy) -> None:
    now = timezone.now()
    OutgoingMail.objects.all().delete()
    MassMove.objects.update(finished_at=now)
    CollectionRun.objects.create(started_at=now, finished_at=now, count=0, size=0, report={})

    sweep()

    assert called(redis_client, CONTROL_QUEUE) == []
    assert collect_when_due() == "The last collection was within the hour."


def test_what_interrupted_work_left_is_removed_after_a_day() -> None:
    folder = scratch_folder() / "left"
    folder.mkdir()
    old, new = folder / "old", folder / "new"
    aside = Path(settings.SAM_DATA_DIR) / "artifacts" / ".incoming"
    part = Path(settings.SAM_MODELS_DIR) / ("c" * 64) / ".parts" / f"{'c' * 64}.part"
    aside.mkdir(parents=True, exist_ok=True)
    part.parent.mkdir(parents=True)
    for path in (old, new, aside / "old", aside / "new", part):
        path.write_bytes(b"half of it")
    long_ago = (timezone.now() - LEFTOVER_AGE - timedelta(minutes=1)).timestamp()
    for path in (old, folder, aside / "old"):
        os.utime(path, (long_ago, long_ago))
    os.utime(part, (0, 0))

    remove_leftovers()

    assert list(folder.iterdir()) == [new]
    assert [path.name for path in aside.iterdir()] == ["new"]
    assert not part.exists()
    shutil.rmtree(folder)
    (aside / "new").unlink()
    shutil.rmtree(part.parent.parent)


def test_two_collections_at_once_are_one() -> None:
    with held_elsewhere(in_turn(COLLECTION_LOCK).__enter__):
        assert collect_when_due() == "Another collection is running."

    assert collect_when_due() == "0 things removed, 0 bytes."


def test_two_sweeps_at_once_are_one(redis_client: Redis) -> None:
    step = first_step(make_plan())
    redis_client.flushall()
    published_ago(step, 60, count=1)

    with held_elsewhere(in_turn(LOCK).__enter__):
        answer = sweep()

    assert answer == "Another sweep is running."
    assert sent(redis_client) == 0
    assert sweep().startswith("1 steps sent again, ")
