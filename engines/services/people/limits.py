"""How many things of a kind one person may keep; whoever hits a limit is told which and what to do."""

from __future__ import annotations

from typing import Any, Literal

from django.conf import settings
from django.db.models import QuerySet

from engines.exceptions import ConflictError

Kind = Literal["adapters", "bases", "documents"]


class LimitReachedError(ConflictError):
    """A person has as many things of a kind as are allowed."""

    code = "limit_reached"


def require_room(kind: Kind, kept: QuerySet[Any]) -> None:
    """Raise LimitReachedError when one more would be too many."""
    most: int = settings.SAM_MAX[kind]
    if most and kept.count() >= most:
        raise LimitReachedError(
            f"There are {most} {kind} already, as many as are allowed; delete some, or ask an "
            f"administrator for more (SAM_MAX_{kind.upper()})."
        )
