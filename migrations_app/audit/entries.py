"""Reading the audit, and the one thing that may be done to it: forgetting a person's name."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery

from migrations_app.audit.actor import SYSTEM
from migrations_app.audit.rows import AuditEntry, AuditKind

OPERATORS_READ = (
    *(AuditKind.HOST, AuditKind.HOST_INVITATION, AuditKind.PLAN, AuditKind.FALLBACK),
    *(AuditKind.BACKUP, AuditKind.BACKUP_RULE),
)
"""Of the others only administrators."""


def list_entries() -> QuerySet[AuditEntry]:
    """Return all entries, each with ``person_name`` of whom it is about: None for nobody, or who is gone."""
    person = User.objects.filter(pk=OuterRef("person_pk")).values("username")
    return AuditEntry.objects.annotate(person_name=Subquery(person))


def make_pseudonym(user_id: int) -> str:
    """Return the name under which the audit trail keeps what a deleted person did."""
    return f"deleted person {user_id}"


def describe_person(entry: AuditEntry) -> str:
    """Return whom an entry of ``list_entries`` is about; empty for nobody."""
    if entry.person_pk is None:
        return ""
    name: str | None = getattr(entry, "person_name", None)
    return name or make_pseudonym(entry.person_pk)


def describe_actor(entry: AuditEntry) -> str:
    """Return who did it; whoever types at the machine does it themselves, for whomever."""
    if not entry.machine_user:
        return entry.actor or "nobody signed in"
    whom = f", for {entry.actor}" if entry.actor not in ("", SYSTEM) else ""
    return f"{entry.machine_user} at the machine{whom}"


def forget_person(user_id: int) -> None:
    """Put a pseudonym for a person's name, and drop their former names; inside a transaction.

    Call it after the deletion, which leaves entries of its own.
    """
    name = make_pseudonym(user_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('sam.erasure', 'on', true)")
        cursor.execute(
            "UPDATE migrations_app_auditentry SET actor = %s WHERE actor_pk = %s", [name, user_id]
        )
        cursor.execute(
            "UPDATE migrations_app_auditentry SET name = %s, changes = changes - 'username' "
            "WHERE kind = %s AND person_pk = %s",
            [name, AuditKind.PERSON, user_id],
        )
        cursor.execute("SELECT set_config('sam.erasure', 'off', true)")
