"""Whose plan it is, and whose backup: the one place of this rule."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from engines.services.people.roles import AnyUser, is_operator
from migrations_app.models import Backup, Plan


def plans_visible_to(user: AnyUser) -> QuerySet[Plan]:
    """Return one's own plans and those one created for nobody; an operator's view is all of them."""
    rows = Plan.objects.all() if is_operator(user) else plans_of(user)
    return rows.select_related("user", "host", "from_engine", "to_engine", "to_revision")


def plans_of(user: AnyUser) -> QuerySet[Plan]:
    """Return one's own plans and those one created for nobody, whatever one's office."""
    return Plan.objects.filter(Q(user=user.pk) | Q(user__isnull=True, created_by=user.pk))


def backups_visible_to(user: AnyUser) -> QuerySet[Backup]:
    """Return one's own backups; an operator's view is all of them, which tells nothing of their content."""
    rows = Backup.objects.all() if is_operator(user) else Backup.objects.filter(user=user.pk)
    return rows.select_related("user", "plan")
