"""The front door to backups: making, checking, putting back, finding, letting go."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from engines.archive import ArchiveSummary, MasterKeyRing, WrappedKey
from engines.exceptions import ArchiveError, InvalidRequestError, NotAllowedError
from engines.files.artifacts import ArtifactStore
from engines.services.backups.archives import SealedFile, read_manifest, walk_archive
from engines.services.backups.keys import backup_keys, is_current, wrap_anew
from engines.services.people.roles import is_administrator, is_operator
from migrations_app.controller import SYSTEM, PlanInTheWayError
from migrations_app.models import Backup, Plan
from migrations_app.plans.artifact_use import ARCHIVES, remove_unused
from migrations_app.plans.backup_plans import RestoreWish, plan_backup, plan_restore
from migrations_app.plans.backup_rules import (
    Pruned,
    list_due_people,
    prune_backups_of,
    remove_backup,
    rule_for,
)
from migrations_app.plans.transitions import start_plan
from migrations_app.states import PLAN_OPEN, PlanKind
from migrations_app.steps.restore import require_same

"""The kind of artifact that archives are."""
MAX_ASKED_BYTES = 2 * 1024**3
"""Of an archive that is read while somebody waits; a restore reads larger ones first, on a host."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look into the store found: backups that have a record now, and what cannot be read."""

    backups: list[Backup]
    unreadable: list[str]


def start_backup(person: User, *, actor: User | None) -> Plan:
    """Back a person up now; an open plan that does so already is returned instead.

    NotAllowedError for another's unless an operator asks; HostUnavailableError.
    """
    if actor is not None and actor != person and not is_operator(actor):
        raise NotAllowedError("Only an operator may back up another person.")
    running = Plan.objects.filter(
        kind=PlanKind.BACKUP, user=person, status__in=PLAN_OPEN, created_by__isnull=actor is None
    ).first()
    plan = running or plan_backup(person, actor=actor)
    return start_plan(plan.pk, who=_who(actor))


def start_due_backups() -> int:
    """Start the backups that people's rules want now; returns how many."""
    due = list_due_people()
    for person in due:
        start_backup(person, actor=None)
    return len(due)


def start_restore(backup: Backup, wish: RestoreWish, *, actor: User | None) -> Plan:
    """Put a backup back, by a plan that is returned; nothing is changed before all of it was read.

    NotAllowedError for whom the roles do not let, ConflictError for a person who has something unless
    it shall be replaced, or whose other plan runs, and what ``plan_restore`` raises.
    """
    _require_allowed(backup, wish, actor)
    try:
        with transaction.atomic():
            plan = plan_restore(backup, wish, actor=actor)
            return start_plan(plan.pk, who=_who(actor))
    except IntegrityError as error:
        raise PlanInTheWayError(
            "Another plan of this person is in progress; wait for it or cancel it first."
        ) from error


def verify_backup(backup: Backup) -> ArchiveSummary:
    """Read all of an archive as a restore would, and remember when; ArchiveError says what is wrong.

    InvalidRequestError for one that is too large to be read while somebody waits.
    """
    if backup.file_size > MAX_ASKED_BYTES:
        raise InvalidRequestError(
            "This backup is too large to be read while you wait; a restore reads all of it before it "
            "changes anything."
        )
    with tempfile.TemporaryDirectory(prefix="sam-verify-") as folder:
        path = _store().local_path(backup.artifact_key, Path(folder))
        sealed = SealedFile(path, WrappedKey.from_text(backup.wrapped_key), backup_keys())
        summary = walk_archive(sealed, lambda _table, _rows: None)
    require_same(backup, summary)
    Backup.objects.filter(pk=backup.pk).update(verified_at=timezone.now())
    return summary


def delete_backup(backup: Backup) -> None:
    """Delete a backup with its key and its file; ConflictError while a plan may need it."""
    remove_backup(backup)


def prune_backups(person: User, keep: int | None = None) -> Pruned:
    """Delete all but the newest of a person's backups, by their rule unless a number is given.

    What a plan that runs or can be taken back stands on stays besides.
    """
    number = rule_for(person).keep if keep is None else keep
    if number < 1:
        raise InvalidRequestError("Keep at least one backup; delete the last one by its number.")
    return prune_backups_of(person, number)


def find_backups() -> Found:
    """Give each archive of the store that has no record one: after a disaster the store is what is left.

    They belong to nobody until an administrator puts them back. Archives of the first format, and those
    of other keys, cannot be opened without their record and are named.
    """
    store, found, unreadable = _store(), list[tuple[datetime, Backup]](), list[str]()
    known = set(Backup.objects.values_list("artifact_key", flat=True))
    with tempfile.TemporaryDirectory(prefix="sam-find-") as folder:
        stored = {file.key: file.stored_at for page in store.pages() for file in page}
        for key in sorted(key for key in stored.keys() - known if key.startswith(ARCHIVES)):
            path = store.local_path(key, Path(folder))
            try:
                manifest, wrapped = read_manifest(SealedFile(path, None, backup_keys()))
            except ArchiveError as error:
                unreadable.append(f"{key}: {error}")
                continue
            backup = Backup(
                person_name=manifest.person[:150],
                reason=Backup.Reason.FOUND,
                artifact_key=key,
                sha256=key.rsplit("/", 1)[1],
                file_size=path.stat().st_size,
                wrapped_key=wrapped.to_text(),
            )
            found.append((manifest.made_at or stored[key], backup))
    return Found(_enter(found), unreadable)


def _enter(found: list[tuple[datetime, Backup]]) -> list[Backup]:
    """Give found archives their records, the oldest first: whoever chooses one wants the newest, not the last found."""
    entered = []
    for made_at, backup in sorted(found, key=lambda one: one[0]):
        backup.save()
        Backup.objects.filter(pk=backup.pk).update(created_at=made_at)
        backup.created_at = made_at
        entered.append(backup)
    return entered


def rotate_keys() -> int:
    """Wrap every archive's key with the backup key in use; returns how many were wrapped anew.

    May be interrupted and repeated. ArchiveError for an archive that no configured key opens.
    """
    keys, count = backup_keys(), 0
    for backup in Backup.objects.order_by("pk").iterator():
        wrapped = WrappedKey.from_text(backup.wrapped_key)
        if not is_current(wrapped, keys):
            count += _rotate(backup, wrapped, keys)
    return count


def _rotate(backup: Backup, wrapped: WrappedKey, keys: MasterKeyRing) -> bool:
    artifact, fresh = wrap_anew(backup.artifact_key, wrapped, keys, _store())
    # Compared and set: a restore or an erasure may have been first.
    mine = Backup.objects.filter(pk=backup.pk, artifact_key=backup.artifact_key)
    changed = mine.update(
        artifact_key=artifact.key,
        sha256=artifact.sha256,
        file_size=artifact.size,
        wrapped_key=fresh.to_text(),
    )
    remove_unused([backup.artifact_key if changed else artifact.key], _store())
    return bool(changed)


def _require_allowed(backup: Backup, wish: RestoreWish, actor: User | None) -> None:
    """A person restores what is theirs; an operator for its person; an administrator for anybody.

    So nobody who may not read a person's content gets it under a name of their own.
    """
    if actor is None or is_administrator(actor):
        return
    if wish.person is None or backup.user_id is None or backup.user_id != wish.person.pk:
        raise NotAllowedError(
            "Only an administrator may restore a backup for somebody else than its person."
        )
    if actor != wish.person and not is_operator(actor):
        raise NotAllowedError("Only an operator may restore another person's backup for them.")


def _store() -> ArtifactStore:
    return ArtifactStore(settings.SAM_ARTIFACT_STORE)


def _who(actor: User | None) -> str:
    return actor.username if actor else SYSTEM
