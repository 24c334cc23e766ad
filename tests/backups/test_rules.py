"""How many backups stay, which are made by themselves, and keys that are wrapped anew."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from engines.archive import ArchiveWriter, MasterKeyRing
from engines.exceptions import ArchiveError, ConflictError
from engines.files.artifacts import ArtifactStore
from migrations_app.backups import (
    delete_backup,
    find_backups,
    prune_backups,
    rotate_keys,
    start_due_backups,
    start_restore,
    verify_backup,
)
from migrations_app.collection.collect import own_place
from migrations_app.collection.vectors_and_files import StoreRule
from migrations_app.models import Backup, Plan
from migrations_app.plans.backup_plans import RestoreWish
from migrations_app.plans.backup_rules import set_rule
from migrations_app.states import PlanKind, PlanStatus
from tests.worker.plans import make_host

pytestmark = pytest.mark.django_db
KEYS = "5a" * 32, "a5" * 32


@pytest.fixture
def store(tmp_path: Path, settings: Settings) -> ArtifactStore:
    settings.SAM_ARTIFACT_STORE = str(tmp_path / "artifacts")
    return ArtifactStore(settings.SAM_ARTIFACT_STORE)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


def kept(ada: User, store: ArtifactStore, tmp_path: Path, age: int = 0) -> Backup:
    """A small archive of hers with its record, so many hours old."""
    path = tmp_path / f"{Backup.objects.count()}.sealed"
    made = timezone.now() - timedelta(hours=age)
    says_when = {"made_at": made.isoformat()} if age else {}
    with ArchiveWriter(path, MasterKeyRing.from_secret(KEYS[0]).current) as archive:
        archive.add_json("format", {"format": "sam-backup-2", "person": "ada", **says_when})
        archive.add_json("rows/person/0.json", [{"username": "ada"}])
        summary = archive.close()
    artifact = store.put_file(path, kind="backups")
    backup = Backup.objects.create(
        user=ada,
        plan=Plan.objects.create(kind=PlanKind.MIGRATE, user=ada, status=PlanStatus.CANCELLED),
        artifact_key=artifact.key,
        sha256=artifact.sha256,
        file_size=artifact.size,
        wrapped_key=summary.wrapped_key.to_text(),
        verified_at=timezone.now(),
    )
    Backup.objects.filter(pk=backup.pk).update(created_at=made)
    return backup


def test_pruning_keeps_the_newest_and_what_a_plan_may_need(
    ada: User,
    store: ArtifactStore,
    tmp_path: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    make_host()
    backups = [kept(ada, store, tmp_path, age) for age in (5, 4, 3, 2, 1)]
    way_back, restored = backups[0], backups[1]
    soon = timezone.now() + timedelta(days=1)
    Plan.objects.filter(backup=way_back).update(status=PlanStatus.COMPLETED, retention_until=soon)
    start_restore(restored, RestoreWish(person=ada), actor=ada)
    for needed in (way_back, restored):
        with pytest.raises(ConflictError, match="is needed"):
            delete_backup(needed)
    set_rule(ada, every_hours=0, keep=1)

    with django_capture_on_commit_callbacks(execute=True):
        pruned = prune_backups(ada)

    assert (pruned.removed, pruned.needed) == (2, 2)
    left = {way_back.pk, restored.pk, backups[4].pk}
    assert set(Backup.objects.values_list("pk", flat=True)) == left
    assert [store.exists(b.artifact_key) for b in backups] == [b.pk in left for b in backups]
    assert find_backups().backups == []


def test_found_archives_are_of_the_time_they_were_made_the_oldest_first(
    ada: User, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = MasterKeyRing.from_secret(KEYS[0])
    monkeypatch.setattr("migrations_app.backups.backup_keys", lambda: own)
    silent = kept(ada, store, tmp_path).artifact_key
    os.utime(store.local_path(silent, tmp_path), (10**9, 10**9))
    spoken = [kept(ada, store, tmp_path, age=age).artifact_key for age in (1, 48)]
    times = dict(Backup.objects.values_list("artifact_key", "created_at"))
    Backup.objects.all().delete()

    found = find_backups().backups

    assert [backup.artifact_key for backup in found] == [silent, *reversed(spoken)]
    assert [backup.created_at for backup in Backup.objects.order_by("pk")] == [
        datetime.fromtimestamp(10**9, UTC),
        *(times[key] for key in reversed(spoken)),
    ]


def test_the_collector_leaves_what_outlived_a_database_to_be_found(
    ada: User, store: ArtifactStore, tmp_path: Path
) -> None:
    archive = kept(ada, store, tmp_path).artifact_key
    adapter = store.put_bytes(b"an adapter", kind="adapters").key
    Backup.objects.all().delete()
    for key in (archive, adapter):
        os.utime(store.local_path(key, tmp_path), (0, 0))

    StoreRule().collect(own_place())

    assert (store.exists(archive), store.exists(adapter)) == (True, False)


def test_a_rule_starts_backups_when_they_are_due_and_not_again_at_once(
    ada: User, store: ArtifactStore, tmp_path: Path
) -> None:
    make_host()
    bob, carol, gone = (User.objects.create_user(name) for name in ("bob", "carol", "gone"))
    User.objects.filter(pk=gone.pk).update(is_active=False)
    kept(ada, store, tmp_path, age=3)
    assert start_due_backups() == 0

    set_rule(None, every_hours=2, keep=3)
    set_rule(bob, every_hours=0, keep=3)
    assert start_due_backups() == 2
    started = Plan.objects.filter(kind=PlanKind.BACKUP, status=PlanStatus.IN_PROGRESS)
    assert {plan.user for plan in started} == {ada, carol}
    assert start_due_backups() == 0


def test_keys_are_wrapped_anew_and_the_earlier_key_opens_nothing_any_more(
    ada: User, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = KEYS
    both = MasterKeyRing.from_secret(f"{new}\n{old}")
    backup = kept(ada, store, tmp_path)
    monkeypatch.setattr("migrations_app.backups.backup_keys", lambda: both)

    assert (rotate_keys(), rotate_keys()) == (1, 0)

    moved = Backup.objects.get()
    assert not store.exists(backup.artifact_key)
    only = {key: MasterKeyRing.from_secret(key) for key in KEYS}
    monkeypatch.setattr("migrations_app.backups.backup_keys", lambda: only[new])
    assert verify_backup(moved).members == 2
    monkeypatch.setattr("migrations_app.backups.backup_keys", lambda: only[old])
    with pytest.raises(ArchiveError, match="not among the configured"):
        verify_backup(moved)
    Backup.objects.all().delete()
    assert "not among the configured" in find_backups().unreadable[0]
