"""What every request asks is planned once for a connection, and nothing else is kept there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.utils import DataError
from django.test.utils import CaptureQueriesContext

from engines.db.cursors import binary_cursor, prepared_cursor
from engines.services.people.bindings import request_binding
from engines.services.people.usage import today
from migrations_app.openai_api.access import _owner
from migrations_app.serving.hosts import _able, _able_with, _active_engine_on

pytestmark = pytest.mark.django_db


def kept() -> dict[str, int]:
    """Return how often PostgreSQL ran each statement that this connection prepared."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements")
        return dict(cursor.fetchall())


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


def ask_as_a_request_does(user: User) -> None:
    announced = json.dumps(["live.stream"])
    _owner.first("no such key", today())
    _active_engine_on(announced, user.pk)
    _able_with(announced, 1)
    _able(announced)
    request_binding(user.pk)


def test_the_statements_of_a_request_are_planned_once(ada: User) -> None:
    before = kept()
    for _ in range(8):
        ask_as_a_request_does(ada)

    new = {text: count for text, count in kept().items() if text not in before}

    assert len(new) == 5
    assert set(new.values()) == {8}


def test_other_statements_are_not_kept_however_often_they_run(ada: User) -> None:
    before = kept()
    for _ in range(20):
        assert User.objects.filter(username="ada").exists()
        with binary_cursor() as cursor:
            cursor.execute("SELECT %s::int", [1])

    assert kept().keys() == before.keys()


def test_an_error_is_djangos_own_and_the_next_statement_works(ada: User) -> None:
    def divided(by: int) -> Any:
        with prepared_cursor() as cursor:
            cursor.execute("SELECT 6 / %s::int", [by])
            return cursor.fetchone()

    assert divided(3) == (2,)
    with pytest.raises(DataError), transaction.atomic():
        divided(0)
    assert divided(2) == (3,)


def test_a_log_of_queries_shows_them(ada: User) -> None:
    request_binding(ada.pk)

    with CaptureQueriesContext(connection) as queries:
        request_binding(ada.pk)

    assert [("engines_enginepreference" in query["sql"]) for query in queries] == [True]
