"""Guessing passwords: slowed down at every door, counted for all processes, with a way back."""

from __future__ import annotations

import html
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings
from redis import Redis
from rest_framework.test import APIClient

from engines.models import ApiToken
from migrations_app.accounts.adapters import WRONG
from migrations_app.limits import counters
from migrations_app.limits.sign_in import unlock
from tests.admin.test_admin import act, signed_in
from tests.api.roles import PASSWORD, People, problem

TOKENS, LOGIN = "/api/v1/tokens", "/accounts/login/"
HERE, THERE = "203.0.113.7", "198.51.100.9"
FAILURES = 10


@pytest.fixture(autouse=True)
def fresh(redis_client: Redis) -> None:
    """Nobody failed yet."""


def try_password(password: str, address: str = HERE, name: str = "alice", **headers: str) -> Any:
    asked = {"username": name, "password": password}
    client = APIClient(REMOTE_ADDR=address)
    return client.post(TOKENS, asked, format="json", headers=headers)


def fail(times: int, address: str = HERE, name: str = "alice") -> None:
    for _ in range(times):
        problem(try_password("wrong", address, name), 401, "wrong_credentials")


def test_a_name_waits_after_failures_even_with_the_right_password(people: People) -> None:
    fail(FAILURES)

    told = try_password(PASSWORD)

    problem(told, 429, "locked_out")
    assert 0 < int(told["Retry-After"]) <= 900
    assert not ApiToken.objects.exists()


def test_the_owner_gets_in_from_elsewhere_meanwhile(people: People) -> None:
    fail(FAILURES)

    assert try_password(PASSWORD, THERE).status_code == 201
    problem(try_password(PASSWORD), 429, "locked_out")


def test_a_made_up_forwarding_header_changes_nothing(people: People) -> None:
    for number in range(FAILURES):
        try_password("wrong", headers={"X-Forwarded-For": f"192.0.2.{number}"})  # type: ignore[arg-type]

    problem(try_password(PASSWORD, **{"X-Forwarded-For": "192.0.2.99"}), 429, "locked_out")


def test_behind_a_proxy_the_address_it_saw_counts(people: People, settings: Settings) -> None:
    settings.SAM_TRUSTED_PROXIES = 1
    for number in range(FAILURES):
        try_password("wrong", **{"X-Forwarded-For": f"192.0.2.{number}, {HERE}"})

    problem(try_password(PASSWORD, **{"X-Forwarded-For": f"1.1.1.1, {HERE}"}), 429, "locked_out")
    assert try_password(PASSWORD, **{"X-Forwarded-For": f"1.1.1.1, {THERE}"}).status_code == 201


def test_guesses_side_by_side_are_not_free(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are told, no more of them are looked at than one after the other."""
    looked_at: list[str] = []

    def authenticate(self: ModelBackend, request: Any, username: str, *_: Any, **__: Any) -> None:
        looked_at.append(username)

    monkeypatch.setattr(ModelBackend, "authenticate", authenticate)

    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(_guess, range(FAILURES * 3)))

    assert statuses == {401, 429}
    assert looked_at == ["alice"] * FAILURES


def _guess(_: int) -> int:
    try:
        return int(try_password("wrong").status_code)
    finally:
        connection.close()


def test_an_address_that_tries_many_names_waits(people: People, settings: Settings) -> None:
    settings.SAM_SIGN_IN_FAILURES = 2
    for number in range(10):
        fail(1, name=f"nobody-{number}")

    problem(try_password(PASSWORD), 429, "locked_out")
    assert try_password(PASSWORD, THERE).status_code == 201


def test_failures_from_everywhere_lock_a_name_for_all(people: People, settings: Settings) -> None:
    settings.SAM_SIGN_IN_FAILURES = 2
    for number in range(20):
        fail(1, address=f"192.0.2.{number}")

    problem(try_password(PASSWORD, THERE), 429, "locked_out")


def test_it_opens_by_itself_after_a_quarter_of_an_hour(people: People, redis_client: Redis) -> None:
    fail(FAILURES)
    keys = redis_client.keys("sam:count:sign-in:*")

    assert len(keys) == 2
    assert all(0 < redis_client.ttl(key) <= 900 for key in keys)
    redis_client.delete(*keys)
    assert try_password(PASSWORD).status_code == 201


def test_failures_of_the_locked_do_not_lengthen_it(people: People, redis_client: Redis) -> None:
    fail(FAILURES)
    for key in redis_client.keys("sam:count:sign-in:*"):
        redis_client.expire(key, 100)

    problem(try_password("wrong"), 429, "locked_out")

    assert all(redis_client.ttl(key) <= 100 for key in redis_client.keys("sam:count:sign-in:*"))


def test_an_administrator_unlocks_a_name(people: People) -> None:
    User.objects.filter(pk=people.administrator.pk).update(is_staff=True)
    fail(FAILURES)

    said = act(signed_in(people.administrator), "/admin/auth/user/", "unlock", [people.alice])

    assert said == "1 person unlocked."
    assert try_password(PASSWORD).status_code == 201


def test_a_success_does_not_forget_the_failures_of_others(people: People) -> None:
    fail(FAILURES - 1)

    assert try_password(PASSWORD, THERE).status_code == 201

    fail(1)
    problem(try_password(PASSWORD), 429, "locked_out")


def test_the_page_and_the_api_share_one_count(people: People) -> None:
    client = Client(REMOTE_ADDR=HERE)
    wrong = {"login": "alice", "password": "wrong"}
    for _ in range(FAILURES):
        assert WRONG in html.unescape(client.post(LOGIN, wrong).content.decode())

    answer = client.post(LOGIN, {"login": "alice", "password": PASSWORD})

    assert "Too many failed sign-ins" in answer.content.decode()
    assert "_auth_user_id" not in client.session
    problem(try_password(PASSWORD), 429, "locked_out")
    assert unlock("alice")
    assert client.post(LOGIN, {"login": "alice", "password": PASSWORD}).status_code == 302


def test_an_address_is_no_second_count(people: People) -> None:
    User.objects.filter(username="alice").update(email="Alice@example.org")
    fail(FAILURES // 2)
    fail(FAILURES // 2, name="alice@example.org")

    problem(try_password(PASSWORD), 429, "locked_out")
    problem(try_password(PASSWORD, name="alice@example.org"), 429, "locked_out")
    assert not ApiToken.objects.exists()


def test_the_admins_own_login_is_closed(people: People) -> None:
    User.objects.filter(username="alice").update(is_staff=True)
    client = Client(REMOTE_ADDR=HERE)

    answer = client.post("/admin/login/?next=/admin/", {"username": "alice", "password": PASSWORD})

    assert answer.headers["Location"] == "/accounts/login/?next=%2Fadmin%2F"
    assert "_auth_user_id" not in client.session


def test_no_name_is_written_into_redis(people: People, redis_client: Redis) -> None:
    fail(1, name="alice")

    assert not [key for key in redis_client.keys("*") if "alice" in key or HERE in key]


def test_while_redis_is_away_each_process_counts(
    people: People, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "_local", counters._LocalCounters())
    settings.REDIS_URL = "unix:///nowhere/redis.sock"

    fail(FAILURES)

    problem(try_password(PASSWORD), 429, "locked_out")
    assert try_password(PASSWORD, THERE).status_code == 201


@pytest.mark.parametrize("name", ["\x00", "a\x00b", "x" * 150])
def test_a_strange_name_is_a_wrong_one(people: People, name: str) -> None:
    assert try_password("wrong", name=name).status_code in (400, 401)
