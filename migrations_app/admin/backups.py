"""The admin of backups: that they are there, checked, put back for their person, let go."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.http import HttpRequest

from engines.exceptions import ConflictError
from engines.services.people.roles import is_administrator, is_operator
from migrations_app.admin.base import RoleAdmin
from migrations_app.admin.reports import report_each
from migrations_app.backups import (
    delete_backup,
    prune_backups,
    start_backup,
    start_restore,
    verify_backup,
)
from migrations_app.models import Backup, BackupRule
from migrations_app.plans.backup_plans import RestoreWish

MOST_BACKED_UP = 100
"""People whom one action backs up; more are the work of a rule."""


@admin.register(Backup)
class BackupAdmin(RoleAdmin):
    """Read here, and acted on through the front door; what is in a backup nobody sees."""

    list_display = ("owner_name", "reason", "file_size", "created_at", "verified_at")
    list_select_related = ("user", "plan")
    list_filter = ("reason", "created_at")
    search_fields = ("user__username", "person_name")
    fields = (
        *("owner_name", "reason", "plan", "file_size", "artifact_key", "sha256"),
        *("created_at", "verified_at"),
    )
    readonly_fields = fields
    actions = ("verify", "restore", "remove", "prune")

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return is_operator(request.user)

    @admin.display(description="person", ordering="user__username")
    def owner_name(self, backup: Backup) -> str:
        return backup.owner_name

    @admin.action(description="Verify", permissions=["operate"])
    def verify(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        def act(backup: Backup) -> None:
            verify_backup(backup)

        done = ("backup is whole", "backups are whole")
        report_each(self, request, queryset, act, done=done)

    @admin.action(description="Restore, in place of what the person has", permissions=["operate"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        actor: Any = request.user

        def act(backup: Backup) -> None:
            if backup.user is None:
                raise ConflictError(
                    "It belongs to nobody here; restore it with `sam backup restore --into NAME`."
                )
            start_restore(backup, RestoreWish(person=backup.user, replace=True), actor=actor)

        report_each(self, request, queryset, act, done=("restore started", "restores started"))

    @admin.action(description="Delete", permissions=["operate"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        report_each(
            self, request, queryset, delete_backup, done=("backup deleted", "backups deleted")
        )

    @admin.action(description="Prune the backups of these people", permissions=["operate"])
    def prune(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        people = User.objects.filter(backups__in=queryset).distinct().order_by("pk")

        def act(person: User) -> None:
            prune_backups(person)

        done = ("person's backups pruned", "people's backups pruned")
        report_each(self, request, people, act, done=done)


@admin.register(BackupRule)
class BackupRuleAdmin(RoleAdmin):
    """How many backups of a person are kept; the row without a person is everybody's."""

    list_display = ("__str__", "every_hours", "keep")
    list_select_related = ("user",)
    raw_id_fields = ("user",)
    search_fields = ("user__username",)

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)


def back_up_each(owner: RoleAdmin, request: HttpRequest, people: QuerySet[User]) -> None:
    """Begin a backup of each; more than one page of them is the work of a rule."""
    if people.count() > MOST_BACKED_UP:
        sentence = (
            f"Nobody was backed up: choose at most {MOST_BACKED_UP}, or have everybody backed up by a "
            "rule of backups."
        )
        owner.message_user(request, sentence, messages.ERROR)
        return

    actor: Any = request.user

    def act(person: Any) -> None:
        start_backup(person, actor=actor)

    done = ("backup has begun", "backups have begun")
    report_each(owner, request, people.order_by("username"), act, done=done)
