"""Rates: by person, by address without a token, the same for all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client, RequestFactory
from pytest_django.fixtures import Settings
from redis import Redis
from rest_framework.test import APIClient

from migrations_app.limits.client_address import client_address
from migrations_app.limits.rates import TooManyRequestsError, forget_person, limit_person
from tests.api.roles import People, client_of, problem
from tests.tokens import token_for


@pytest.fixture(autouse=True)
def three_a_minute(redis_client: Redis, settings: Settings) -> None:
    settings.SAM_RATES = dict.fromkeys(("anon", "user", "work"), "3/min")


def statuses(client: Any, path: str, times: int = 5) -> list[int]:
    return [client.get(path).status_code for _ in range(times)]


@pytest.mark.parametrize("path", ["/api/v1/me", "/api/schema/"])
def test_an_address_without_a_token_waits(db: None, path: str) -> None:
    found = statuses(APIClient(), path)

    assert set(found[:3]) <= {200, 401}
    assert found[3:] == [429, 429]
    assert client_of(None).get(path, REMOTE_ADDR="203.0.113.7").status_code != 429


def test_a_wrong_token_counts_for_the_address(db: None) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

    assert statuses(client, "/api/v1/me") == [401, 401, 401, 429, 429]


def test_a_person_waits_and_others_do_not(people: People) -> None:
    assert statuses(client_of(people.alice), "/api/v1/me") == [200] * 3 + [429] * 2
    answer = client_of(people.alice).get("/api/v1/me")
    problem(answer, 429, "throttled")
    assert 0 < int(answer["Retry-After"]) <= 60

    assert statuses(client_of(people.bob), "/api/v1/me", 3) == [200] * 3


def test_a_person_whose_counts_begin_anew_waits_no_longer(people: People) -> None:
    assert statuses(client_of(people.alice), "/api/v1/me")[-1] == 429
    assert statuses(client_of(people.bob), "/api/v1/me")[-1] == 429

    forget_person(people.alice.pk)

    assert statuses(client_of(people.alice), "/api/v1/me", 1) == [200]
    assert statuses(client_of(people.bob), "/api/v1/me", 1) == [429]


def test_what_starts_work_has_a_rate_of_its_own(people: People, settings: Settings) -> None:
    settings.SAM_RATES = {"anon": None, "user": None, "work": "2/min"}
    client = client_of(people.alice)

    found = [client.post("/api/v1/plans", {}, format="json").status_code for _ in range(4)]

    assert found == [400, 400, 429, 429]
    assert client.get("/api/v1/plans").status_code == 200


def test_counts_are_shared_and_end_by_themselves(people: People, redis_client: Redis) -> None:
    limit_person(people.alice.pk)
    (key,) = redis_client.keys("sam:count:rate:*")
    assert 0 < redis_client.ttl(key) <= 60

    redis_client.hset(key, "n", 3)
    with pytest.raises(TooManyRequestsError, match="3/min"):
        limit_person(people.alice.pk)


def test_a_count_that_a_killed_process_left_without_an_end_gets_one(
    people: People, redis_client: Redis
) -> None:
    limit_person(people.alice.pk)
    (key,) = redis_client.keys("sam:count:rate:*")
    redis_client.persist(key)

    limit_person(people.alice.pk)

    assert 0 < redis_client.ttl(key) <= 60


@pytest.mark.parametrize(
    ("proxies", "forwarded", "remote", "found"),
    [
        (0, "1.1.1.1", "203.0.113.7", "203.0.113.7"),
        (1, "1.1.1.1", "10.0.0.2", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "10.0.0.2", "1.1.1.1"),
        (2, "6.6.6.6, 1.1.1.1, 10.0.0.3", "10.0.0.2", "1.1.1.1"),
        (2, "1.1.1.1", "10.0.0.2", "10.0.0.2"),
        (1, "", "10.0.0.2", ""),
        (0, "", "", ""),
        (0, "", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (0, "", "::ffff:203.0.113.7", "203.0.113.7"),
        (1, "nonsense", "10.0.0.2", ""),
    ],
)
def test_where_a_request_comes_from(
    settings: Settings, proxies: int, forwarded: str, remote: str, found: str
) -> None:
    settings.SAM_TRUSTED_PROXIES = proxies
    request = RequestFactory(REMOTE_ADDR=remote).get("/", headers={"X-Forwarded-For": forwarded})

    assert client_address(request) == found


def openai_kind(body: Any) -> object:
    return body["error"]["type"], body["error"]["code"]


DOORS: list[tuple[str, Callable[[Any], object], object]] = [
    *(
        (f"/v1/{name}", openai_kind, ("rate_limit_error", "rate_limit_exceeded"))
        for name in ("chat/completions", "completions", "responses", "embeddings", "rerank")
    ),
    *(
        (
            f"/v1/{name}",
            lambda body: (body["type"], body["error"]["type"]),
            ("error", "rate_limit_error"),
        )
        for name in ("messages", "messages/count_tokens")
    ),
    *((f"/api/{name}", list, ["error"]) for name in ("chat", "generate", "embed", "embeddings")),
    ("/mcp", lambda body: body["error"]["code"], -32600),
]


@pytest.mark.parametrize(("path", "kind", "wanted"), DOORS)
def test_who_asks_too_often_is_told_so_in_the_words_of_each_protocol(
    people: People, path: str, kind: Callable[[Any], object], wanted: object
) -> None:
    for _ in range(3):
        limit_person(people.alice.pk)
    headers = {"Authorization": f"Bearer {token_for(people.alice)}"}

    answer = Client().post(path, {}, content_type="application/json", headers=headers)

    assert answer.status_code == 429
    assert kind(answer.json()) == wanted
    assert 0 < int(answer["Retry-After"]) <= 60
