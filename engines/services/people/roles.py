"""Who is who: four roles, three of them Django groups of these names."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, User
from django.db import transaction

from engines.exceptions import InvalidRequestError

CURATOR = "curator"
OPERATOR = "operator"
ADMINISTRATOR = "administrator"
ROLES = frozenset({CURATOR, OPERATOR, ADMINISTRATOR})

AnyUser = AbstractBaseUser | AnonymousUser


def roles_of(user: AnyUser) -> frozenset[str]:
    """Return the roles of a user, asked once per user object; an administrator has them all."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    known: frozenset[str] | None = getattr(user, "_sam_roles", None)
    if known is None:
        known = ROLES if user.is_superuser else _roles_of_groups(user)
        user._sam_roles = known  # type: ignore[attr-defined]
    return known


def _roles_of_groups(user: User) -> frozenset[str]:
    named = frozenset(user.groups.filter(name__in=ROLES).values_list("name", flat=True))
    return ROLES if ADMINISTRATOR in named else named


def set_roles(user: User, roles: Iterable[str]) -> None:
    """Give a person exactly these roles and leave their other groups; InvalidRequestError for a name
    that is no role.
    """
    wanted = require_roles(roles)
    with transaction.atomic():
        user.__dict__.pop("_sam_roles", None)
        user.groups.remove(*user.groups.filter(name__in=ROLES - wanted))
        user.groups.add(*(Group.objects.get_or_create(name=role)[0] for role in sorted(wanted)))


def require_roles(names: Iterable[str]) -> frozenset[str]:
    """Return these names; InvalidRequestError when one of them is no role."""
    wanted = frozenset(names)
    unknown = sorted(wanted - ROLES)
    if unknown:
        raise InvalidRequestError(
            f"{unknown[0]!r:.80} is no role; the roles are {', '.join(sorted(ROLES))}."
        )
    return wanted


def is_curator(user: AnyUser) -> bool:
    """Whether this user writes the catalog and every group's knowledge."""
    return CURATOR in roles_of(user)


def is_operator(user: AnyUser) -> bool:
    """Whether this user runs hosts and everybody's plans, without their content."""
    return OPERATOR in roles_of(user)


def is_administrator(user: AnyUser) -> bool:
    """Whether this user manages people, roles and defaults."""
    return ADMINISTRATOR in roles_of(user)
