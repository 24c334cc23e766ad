"""How often people are backed up, how many backups are kept, and which are needed whatever the rule says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import (
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from engines.exceptions import ConflictError
from engines.files.artifacts import ArtifactStore
from migrations_app.models import Backup, BackupRule, Plan
from migrations_app.plans.artifact_use import remove_unused
from migrations_app.states import PLAN_OPEN, PlanKind, PlanStatus

RETRY_AFTER = timedelta(hours=1)
"""How long nobody tries again after a scheduled backup that did not succeed."""
MOST_STARTED = 20
"""Scheduled backups that one look starts: the rest come with the next."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many backups went with how many bytes, and how many stayed only because they are needed."""

    removed: int
    bytes: int
    needed: int


def has_rule(user: User) -> bool:
    """Whether anybody set a rule that holds for a person."""
    return BackupRule.objects.filter(Q(user=user) | Q(user=None)).exists()


def rule_for(user: User | None) -> BackupRule:
    """Return the rule that holds for a person: their own, everybody's, or else the one SAM begins with."""
    rules = BackupRule.objects.filter(Q(user=user) | Q(user=None))
    return rules.order_by(F("user").asc(nulls_last=True)).first() or BackupRule()


def set_rule(user: User | None, *, every_hours: int, keep: int) -> BackupRule:
    """Write a person's own rule, or with nobody named everybody's."""
    values = {"every_hours": every_hours, "keep": keep}
    rule, _ = BackupRule.objects.update_or_create(user=user, defaults=values)
    return rule


def clear_rule(user: User | None) -> None:
    """Remove a rule; everybody's holds for the person then, and without that the one SAM begins with."""
    BackupRule.objects.filter(user=user).delete()


def needed_backups() -> QuerySet[Backup]:
    """Return the backups that nothing removes: of plans that run or may be taken back, or being restored.

    The one that was made before a restore is the only way back from it, and is kept as long.
    """
    now = timezone.now()
    way_back = Q(plan__status=PlanStatus.COMPLETED, plan__retention_until__gt=now)
    since = now - timedelta(days=settings.SAM_RETENTION_DAYS)
    before_restore = Q(reason=Backup.Reason.RESTORE, created_at__gt=since)
    open_restores = Plan.objects.filter(restores=OuterRef("pk"), status__in=PLAN_OPEN)
    running = Q(plan__status__in=PLAN_OPEN)
    return Backup.objects.filter(way_back | before_restore | running | Exists(open_restores))


def remove_backup(backup: Backup) -> None:
    """Delete a backup with its key and its file; ConflictError while it is needed."""
    with transaction.atomic():
        # Before the check: a restore that begins now waits, and finds it gone.
        Backup.objects.select_for_update().filter(pk=backup.pk).first()
        if needed_backups().filter(pk=backup.pk).exists():
            raise ConflictError(
                "This backup is needed: a plan that runs or that can still be taken back stands on it."
            )
        Backup.objects.filter(pk=backup.pk).delete()
        transaction.on_commit(partial(_remove_files, [backup.artifact_key]))


def prune_backups_of(user: User, keep: int) -> Pruned:
    """Delete all but the newest of a person's backups and those that are needed."""
    with transaction.atomic():
        rows = Backup.objects.select_for_update().filter(user=user).order_by("-created_at", "-pk")
        surplus = list(rows)[keep:]
        keys = [backup.pk for backup in surplus]
        needed = set(needed_backups().filter(pk__in=keys).values_list("pk", flat=True))
        going = [backup for backup in surplus if backup.pk not in needed]
        Backup.objects.filter(pk__in=[backup.pk for backup in going]).delete()
        transaction.on_commit(partial(_remove_files, [backup.artifact_key for backup in going]))
    return Pruned(len(going), sum(backup.file_size for backup in going), len(needed))


def list_due_people() -> list[User]:
    """Return whom their rule wants backed up now, a few at a time.

    Whose last scheduled one is still open waits for that: those that ask an operator would leave nobody else a
    turn. A time to come, from when a clock was ahead, counts for nothing.
    """
    everybody = BackupRule.objects.filter(user=None).values_list("every_hours", flat=True).first()
    if not everybody and not BackupRule.objects.filter(every_hours__gt=0).exists():
        return []
    own = BackupRule.objects.filter(user=OuterRef("pk")).values("every_hours")
    newest = Backup.objects.filter(user=OuterRef("pk")).order_by("-created_at")
    now = timezone.now()
    lately = Q(created_at__gt=now - RETRY_AFTER, created_at__lte=now)
    is_open = Q(status__in=PLAN_OPEN, created_by=None)
    tried = Plan.objects.filter(lately | is_open, user=OuterRef("pk"), kind=PlanKind.BACKUP)
    people = User.objects.filter(is_active=True).annotate(
        hours=Coalesce(Subquery(own[:1]), Value(everybody or 0), output_field=IntegerField()),
        backed_up=Subquery(newest.filter(created_at__lte=now).values("created_at")[:1]),
    )
    age = ExpressionWrapper(F("hours") * Value(timedelta(hours=1)), output_field=DurationField())
    due = ExpressionWrapper(F("backed_up") + age, output_field=DateTimeField())
    people = people.filter(~Exists(tried), hours__gt=0).annotate(due=due)
    return list(people.filter(Q(backed_up=None) | Q(due__lte=now)).order_by("pk")[:MOST_STARTED])


def _remove_files(keys: list[str]) -> None:
    remove_unused(keys, ArtifactStore(settings.SAM_ARTIFACT_STORE))
