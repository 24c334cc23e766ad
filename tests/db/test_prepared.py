"""Statements composed once return what their querysets return, whatever they are asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F, QuerySet
from django.test.utils import CaptureQueriesContext

from engines.db.prepared import Parameter, PreparedQuery
from engines.models import Host

pytestmark = pytest.mark.django_db

composed: list[str] = []


def named(name: Parameter) -> QuerySet[User]:
    """Return who has a name."""
    composed.append("once")
    users = User.objects.filter(username=name, is_active=True).annotate(again=F("username"))
    return users.order_by("pk").only("email")


@pytest.fixture
def people() -> list[User]:
    return [User.objects.create_user(name, f"{name}@example.org") for name in ("ada", "100%s", "'")]


def test_each_call_has_its_own_arguments(people: list[User]) -> None:
    find = PreparedQuery(named)
    composed.clear()
    for person in people:
        (found,) = find(person.username)
        assert (found.pk, found.email) == (person.pk, person.email)
        assert getattr(found, "again") == person.username  # noqa: B009 - unknown to its type
    assert composed == ["once"]
    assert find.first("nobody") is None
    assert find.__doc__ == named.__doc__


def test_one_call_is_one_query(people: list[User]) -> None:
    find = PreparedQuery(named)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert find.first("ada") == people[0]
    assert len(queries) == 1


def test_values_come_as_the_fields_read_them() -> None:
    Host.objects.create(name="h1", announces=["live.embed"], limits={"memory": 3})

    @PreparedQuery
    def announcing(kinds: Parameter, least: Parameter) -> QuerySet[Host]:
        return Host.objects.filter(announces__contains=kinds, pk__gte=least)

    assert announcing.first('["live.embed"]', 0).limits == {"memory": 3}  # type: ignore[union-attr]
    assert announcing.first('["live.stream"]', 0) is None
    assert announcing('["live.embed"]', 2**40) == []


@pytest.mark.django_db(transaction=True)
def test_threads_do_not_mix_arguments_up(people: list[User]) -> None:
    find = PreparedQuery(named)

    def ask(number: int) -> bool:
        person = people[number % len(people)]
        try:
            return find.first(person.username) == person
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(60)))
