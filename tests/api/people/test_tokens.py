"""Tokens: told once, kept as a hash, bounded in what they open and for how long."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, migrations
from django.utils import timezone
from rest_framework.test import APIClient

from engines.exceptions import ConflictError, InvalidRequestError
from engines.models import ApiToken, TokenScope
from engines.services.people.tokens import (
    MAX_OF_ONE_NAME,
    MAX_TOKENS,
    create_token,
    end_dead_tokens,
    find_owner,
)
from tests.api.roles import PASSWORD, People, problem

TOKENS = "/api/v1/tokens"


def sign_in(username: str = "alice", **more: Any) -> dict[str, Any]:
    asked = {"username": username, "password": PASSWORD, **more}
    answer = APIClient().post(TOKENS, asked, format="json")
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def client_with(key: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


def test_the_key_is_told_once_and_kept_nowhere(people: People) -> None:
    made = sign_in(name="laptop")
    key = made.pop("token")

    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM engines_apitoken AS t")
        rows = str(cursor.fetchall())
    assert key not in rows
    assert key.encode().hex() not in rows
    answer = client_with(key).get(TOKENS)
    assert key not in answer.content.decode()
    assert [row["id"] for row in answer.json()["results"]] == [made["id"]]


def test_each_sign_in_gives_a_token_of_its_own(people: People) -> None:
    first, second = sign_in()["token"], sign_in()["token"]

    assert first != second
    assert all(client_with(key).get("/api/v1/me").status_code == 200 for key in (first, second))


def test_a_stale_token_does_not_keep_one_from_signing_in(people: People) -> None:
    asked = {"username": "alice", "password": PASSWORD}

    assert client_with("an old one").post(TOKENS, asked, format="json").status_code == 201


def test_tokens_are_listed_and_ended_by_their_owner_only(people: People) -> None:
    alice, bob = sign_in()["token"], sign_in("bob")["token"]
    of_alice = ApiToken.objects.get(user=people.alice)
    address = f"{TOKENS}/{of_alice.pk}"

    for method in ("get", "delete"):
        problem(getattr(client_with(bob), method)(address), 404, "not_found")
    assert client_with(alice).get(address).json()["name"] == "sign-in"
    assert client_with(alice).delete(address).status_code == 204

    problem(client_with(alice).get("/api/v1/me"), 401, "authentication_failed")
    assert client_with(bob).get("/api/v1/me").status_code == 200


@pytest.mark.parametrize(
    ("scope", "reads", "writes"), [("all", 200, 201), ("read", 200, 403), ("answers", 403, 403)]
)
def test_a_scope_bounds_what_a_token_opens(
    people: People, scope: str, reads: int, writes: int
) -> None:
    client = client_with(sign_in(scope=scope)["token"])

    assert client.get("/api/v1/conversations").status_code == reads
    answer = client.post("/api/v1/conversations", {"title": "x"}, format="json")
    assert answer.status_code == writes
    assert people.alice.conversations.count() == (writes == 201)


def test_a_token_expires(people: People) -> None:
    made = sign_in(expires_in_days=1)
    assert made["expires_at"] is not None
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    problem(client_with(made["token"]).get("/api/v1/me"), 401, "authentication_failed")
    assert end_dead_tokens() == 1


def test_a_new_password_ends_them(people: People) -> None:
    alice, bob = sign_in()["token"], sign_in("bob")["token"]

    people.alice.set_password("another long password")
    people.alice.save()

    assert [find_owner(key) for key in (alice, bob)] == [None, people.bob]


def test_a_password_that_is_only_hashed_anew_ends_none(people: People) -> None:
    """As happens at a sign-in after the framework's hashes became stronger."""
    key = sign_in()["token"]

    people.alice.set_password(PASSWORD)
    vars(people.alice)["_password"] = None
    people.alice.save(update_fields=["password"])

    assert find_owner(key) == people.alice


def test_deactivation_ends_them_also_for_a_later_return(people: People) -> None:
    key = sign_in()["token"]
    User.objects.filter(pk=people.alice.pk).update(is_active=False)
    assert find_owner(key) is None

    assert end_dead_tokens() == 1
    User.objects.filter(pk=people.alice.pk).update(is_active=True)

    assert find_owner(key) is None


def test_the_last_use_is_known_and_rarely_written(people: People) -> None:
    key = sign_in()["token"]
    assert ApiToken.objects.get().last_used_at is None

    find_owner(key)
    first = ApiToken.objects.get().last_used_at
    find_owner(key)

    assert first is not None
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(hours=2))
    find_owner(key)
    assert ApiToken.objects.filter(last_used_at__gt=first - timedelta(hours=1)).exists()


def test_a_script_that_signs_in_each_time_does_not_fill_the_list(people: People) -> None:
    keys = [create_token(people.alice, "script").key for _ in range(MAX_OF_ONE_NAME + 2)]

    assert [find_owner(key) is not None for key in keys] == [False] * 2 + [True] * MAX_OF_ONE_NAME


def test_a_person_has_a_bounded_number(people: People) -> None:
    for number in range(MAX_TOKENS):
        create_token(people.alice, f"number {number}")

    with pytest.raises(ConflictError, match="end some"):
        create_token(people.alice, "one more")

    assert ApiToken.objects.count() == MAX_TOKENS


@pytest.mark.parametrize("name", ["", "x" * 65, "a\x00b", "a\nb", "\ud800"])
def test_a_name_that_cannot_be_shown_is_refused(people: People, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="can be printed"):
        create_token(people.alice, name)

    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("key", ["", "\x00", "\ud800", "x" * 100_000, "sam_"])
def test_what_is_no_token_opens_nothing(db: None, key: str) -> None:
    assert find_owner(key) is None


def test_tokens_of_the_earlier_table_go_on_working(db: None) -> None:
    """The migration's own statement, on rows as they were; every run's database begins with the migration."""
    old_key = "0123456789abcdef" * 2 + "01234567"
    ada = User.objects.create_user("ada")
    migration = importlib.import_module("engines.migrations.0010_api_tokens")
    (take_over,) = (
        operation.sql
        for operation in migration.Migration.operations
        if isinstance(operation, migrations.RunSQL)
    )
    assert isinstance(take_over, str)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE authtoken_token (key varchar(40) PRIMARY KEY, created timestamptz "
            "NOT NULL, user_id integer NOT NULL UNIQUE REFERENCES auth_user (id))"
        )
        cursor.execute(
            "INSERT INTO authtoken_token VALUES (%s, clock_timestamp(), %s)", [old_key, ada.pk]
        )
        cursor.execute(take_over)

    assert find_owner(old_key) == ada
    token = ApiToken.objects.get()
    assert (token.scope, token.expires_at) == (TokenScope.ALL, None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('authtoken_token')")
        assert cursor.fetchone() == (None,)
