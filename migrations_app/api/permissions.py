"""Who may do what: four roles, three of them Django groups."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

CURATOR = "curator"
OPERATOR = "operator"
ADMINISTRATOR = "administrator"
ROLES = frozenset({CURATOR, OPERATOR, ADMINISTRATOR})

AnyUser = AbstractBaseUser | AnonymousUser


def roles_of(user: AnyUser) -> frozenset[str]:
    """Return the caller's roles, asked once per request; an administrator has them all."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    known: frozenset[str] | None = getattr(user, "_sam_roles", None)
    if known is None:
        named = frozenset(user.groups.filter(name__in=ROLES).values_list("name", flat=True))
        known = ROLES if user.is_superuser or ADMINISTRATOR in named else named
        user._sam_roles = known  # type: ignore[attr-defined]
    return known


def is_curator(user: AnyUser) -> bool:
    """Whether this user writes the catalog."""
    return CURATOR in roles_of(user)


def is_operator(user: AnyUser) -> bool:
    """Whether this user runs hosts and sees everybody's plans, without their content."""
    return OPERATOR in roles_of(user)


def is_administrator(user: AnyUser) -> bool:
    """Whether this user manages people and roles."""
    return ADMINISTRATOR in roles_of(user)


class CuratorWrites(BasePermission):
    message = "Only a curator may change the catalog."

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.method in SAFE_METHODS or is_curator(request.user)


class OperatorOnly(BasePermission):
    message = "Only an operator may do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_operator(request.user)


class HostReader(BasePermission):
    message = "Only a curator or an operator may read about hosts."

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_curator(request.user) or is_operator(request.user)
