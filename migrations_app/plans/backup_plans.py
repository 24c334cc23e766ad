"""Plans that back a person up and that put a backup back."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from engines.exceptions import ConflictError, InvalidRequestError
from engines.services.backups.restoring import has_belongings
from migrations_app.models import Backup, Plan
from migrations_app.plans.planning import choose_host, save_plan
from migrations_app.states import PlanKind

OTHER_FIELDS = {field.name for field in User._meta.fields} - {User.USERNAME_FIELD}


@dataclass(frozen=True, slots=True)
class RestoreWish:
    """Whom a backup is put back for: a person who is here, or one who is made with this user name."""

    person: User | None = None
    into: str = ""
    replace: bool = False


def plan_backup(person: User, *, actor: User | None) -> Plan:
    """Make a pending plan that backs a person up; HostUnavailableError when no host is active."""
    return save_plan(
        Plan(kind=PlanKind.BACKUP, user=person, created_by=actor, host=choose_host([]))
    )


def plan_restore(backup: Backup, wish: RestoreWish, *, actor: User | None) -> Plan:
    """Make a pending plan that puts a backup back.

    ConflictError for a person who has something of their own unless it shall be replaced, or a name
    that is taken; InvalidRequestError for what is no user name; HostUnavailableError.
    """
    person = wish.person
    if person is None:
        _require_new_name(wish.into)
    elif has_belongings(person) and not wish.replace:
        raise ConflictError(
            f"{person.get_username()} has conversations, knowledge, prompts or adapters here. Say that "
            "the backup shall take their place (--replace; they are backed up first), or have an "
            "administrator restore it into a new user name (--into NAME)."
        )
    plan = Plan(
        kind=PlanKind.RESTORE,
        user=person,
        created_by=actor,
        host=choose_host([]),
        restores=backup,
        restores_into="" if person else wish.into,
        replaces=person is not None and wish.replace,
    )
    return save_plan(plan)


def _require_new_name(name: str) -> None:
    try:
        User(username=name).clean_fields(exclude=OTHER_FIELDS)
    except ValidationError as error:
        raise InvalidRequestError(f"{name!r:.80} is no user name; choose another one.") from error
    if User.objects.filter(username__iexact=name).exists():
        raise ConflictError(
            f"{name} is a person's name already; restore into them (--replace), or choose another."
        )
