"""Whom a mass move is about: by name, by the engine they use, by their group, or everybody."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import Group, User
from django.db.models import QuerySet

from engines.exceptions import InvalidRequestError, NotFoundError
from engines.services.catalog.entries import get_model
from engines.services.engine_choice import with_engine_choice

MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class PeopleChoice:
    """Who is meant; what is given narrows, and at least one thing is."""

    names: tuple[str, ...] = ()
    using: str = ""
    """The engine that answers them now, by its id."""
    group: str = ""
    everybody: bool = False


def find_people(choice: PeopleChoice) -> QuerySet[User]:
    """Return the active people of a choice.

    InvalidRequestError when nothing says who; NotFoundError names who or what is not there.
    """
    if not (choice.names or choice.using or choice.group or choice.everybody):
        raise InvalidRequestError(
            "Say whom to move: by name, by the engine they use, by their group, or everybody."
        )
    people = User.objects.filter(is_active=True)
    if choice.names:
        _require_all(choice.names)
        people = people.filter(username__in=choice.names)
    if choice.group:
        if not Group.objects.filter(name=choice.group).exists():
            raise NotFoundError(f"No group is called {choice.group!r}.")
        people = people.filter(groups__name=choice.group)
    if choice.using:
        engine = get_model(choice.using)
        users = with_engine_choice(User.objects.all()).filter(chosen_engine=engine.pk)
        people = people.filter(pk__in=users.values("pk"))
    return people.order_by("username")


def _require_all(names: tuple[str, ...]) -> None:
    there = set(User.objects.filter(username__in=names).values_list("username", flat=True))
    missing = sorted(set(names) - there)
    if missing:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise NotFoundError(
            f"There is nobody called {', '.join(missing[:MAX_NAMED])}{more}; nobody was moved."
        )
