"""A backup and a restore stop between two megabytes when they are asked to, and go on from nothing left behind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from engines.models import LoraAdapter
from migrations_app.backups import start_backup, start_restore
from migrations_app.models import Backup, Plan
from migrations_app.plans.backup_plans import RestoreWish
from migrations_app.states import PlanStatus, StepStatus
from tests.backups.belongings import give_belongings
from tests.plans.hash_world import HashWorld
from worker.steps.runner import run_step

MIB = 1024 * 1024
LARGE = b"".join(hashlib.sha512(number.to_bytes(4)).digest() for number in range(6 * MIB // 64))


class Ending:
    """A worker that is told to end the so-many-th time that its work asks."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked >= self.at > 0


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Ending]:
    def end_at(at: int) -> Ending:
        ending = Ending(at)
        monkeypatch.setattr("worker.steps.lease.is_draining", ending)
        return ending

    return end_at


def large_adapter(world: HashWorld) -> None:
    give_belongings(world)
    artifact = world.store.put_bytes(LARGE, kind="adapters")
    LoraAdapter.objects.update(
        artifact_key=artifact.key, sha256=artifact.sha256, file_size=artifact.size
    )


def count_places_to_stop(
    world: HashWorld, plan: Plan, kind: str, ending: Callable[[int], Ending]
) -> int:
    """Stop a step at some of the places where it can, then let it end; returns how many places there are."""
    step = plan.steps.get(kind=kind)
    for at in (3, 9, 15):
        ending(at)
        assert run_step(step.pk) == "Put back: the worker is ending."
        step.refresh_from_db()
        assert (step.status, step.failures, step.attempts) == (StepStatus.PENDING, 0, 0)
        assert list(world.folder.rglob("*.sealed")) == []
        assert not any((world.folder / "artifacts" / ".incoming").glob("*"))
    asked = ending(0)
    run_step(step.pk)
    return asked.asked


def test_a_backup_stops_between_two_megabytes_of_an_adapter(
    world: HashWorld, ending: Callable[[int], Ending]
) -> None:
    large_adapter(world)
    plan = start_backup(world.user, actor=world.user)

    # It is sealed, read back and stored: three times six megabytes.
    assert count_places_to_stop(world, plan, "back_up", ending) > 18
    assert Backup.objects.get().verified_at is not None


def test_a_restore_stops_between_two_megabytes_of_its_archive(
    world: HashWorld, ending: Callable[[int], Ending]
) -> None:
    large_adapter(world)
    assert world.run(start_backup(world.user, actor=world.user)).status == PlanStatus.COMPLETED
    backup = Backup.objects.get()
    plan = start_restore(backup, RestoreWish(person=world.user, replace=True), actor=world.user)

    # It is read, and the adapter stored again.
    assert count_places_to_stop(world, plan, "read_archive", ending) > 12
    assert world.run(plan).status == PlanStatus.COMPLETED
