"""A refused person's body is not received: the refusal comes after the headers, from a real process."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from redis import Redis

from engines.models import Document, KnowledgeBase
from engines.services.people.tokens import create_token
from engines.services.people.usage import add_usage, set_quota
from migrations_app.limits.held import ANSWERS, UPLOADS, holding
from migrations_app.serving.redis_keys import held_key
from samproject.web.body_gate import SMALL_BYTES
from tests.openai_api.web import WebProcess
from tests.worker.processes import WORK, WorkerProcess

MEGABYTE = 1024 * 1024
MULTIPART = "multipart/form-data; boundary=x"
WAIT_SECONDS = 60.0
Answer = tuple[int, dict[str, Any], dict[str, str]]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def web(transactional_db: None, redis_client: Redis, tmp_path: Path) -> Iterator[WebProcess]:
    environment = {
        **WorkerProcess(tmp_path, WORK)._environment(),
        "SAM_UPLOADS_AT_ONCE": "1",
        "SAM_ANSWERS_AT_ONCE": "1",
        "SAM_RATE_USER": "9/day",
    }
    with WebProcess(tmp_path, environment) as running:
        yield running


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password="a-long-password-of-hers")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process takes places as well, so it has the same limits."""
    limits = {**settings.SAM_AT_ONCE, "uploads": 1, "answers": 1}
    monkeypatch.setattr(settings, "SAM_AT_ONCE", limits)


def send(web: WebProcess, path: str, length: int | None, *lines: str) -> socket.socket:
    """Open a connection and send the headers of a POST, and nothing of its body."""
    place = urlsplit(web.address)
    client = socket.create_connection((str(place.hostname), place.port or 80), WAIT_SECONDS)
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    head = [f"POST {path} HTTP/1.1", "Host: localhost", size, *lines]
    client.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
    return client


def read(client: socket.socket) -> Answer:
    """Read an answer up to the end of its body; fails when none comes."""
    with client, client.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        lines = [line.decode().strip() for line in iter(stream.readline, b"\r\n")]
        headers = {name.lower(): value for name, _, value in (n.partition(": ") for n in lines)}
        body = stream.read(int(headers["content-length"]))
    return status, json.loads(body), headers


def bearer(user: User) -> str:
    return f"Authorization: Bearer {create_token(user, 'test').key}"


def documents_of(user: User) -> str:
    base = KnowledgeBase.objects.create(owner=user, name="Notes")
    return f"/api/v1/knowledge-bases/{base.pk}/documents"


def is_waited_for(client: socket.socket) -> bool:
    """Whether the server neither answers nor leaves, so that it waits for the body."""
    client.settimeout(1.0)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    return False


def test_a_stranger_is_told_before_the_body_is_read(web: WebProcess, ada: User) -> None:
    path = documents_of(ada)
    kind = f"Content-Type: {MULTIPART}"

    status, problem, headers = read(send(web, path, 50 * MEGABYTE, kind))
    of_v1 = read(send(web, "/v1/chat/completions", MEGABYTE, "Authorization: Bearer sam_wrong"))
    chunked = read(send(web, path, None, kind))

    assert (status, problem["code"]) == (401, "not_authenticated")
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["cache-control"] == "no-store"
    assert "content-security-policy" in headers
    assert (of_v1[0], of_v1[1]["error"]["code"]) == (401, "invalid_api_key")
    assert of_v1[2]["www-authenticate"] == "Bearer"
    assert chunked[0] == 401


def test_more_than_an_address_takes_is_told_before_the_body_is_read(
    web: WebProcess, ada: User
) -> None:
    path, token = documents_of(ada), bearer(ada)

    upload = read(send(web, path, 60 * MEGABYTE, token, f"Content-Type: {MULTIPART}"))
    as_json = read(send(web, path, 3 * MEGABYTE, token, "Content-Type: application/json"))
    of_v1 = read(send(web, "/v1/chat/completions", 3 * MEGABYTE, token))
    chunked = read(send(web, path, None, token, f"Content-Type: {MULTIPART}"))

    assert (upload[0], upload[1]["code"]) == (413, "body_too_large")
    assert (as_json[0], as_json[1]["code"]) == (413, "body_too_large")
    assert "multipart/form-data" in as_json[1]["detail"]
    assert (of_v1[0], of_v1[1]["error"]["code"]) == (413, "too_large")
    assert chunked[0] == 411


def test_who_has_no_place_or_no_tokens_left_is_told_before_the_body_is_read(
    web: WebProcess, ada: User, at_once: None
) -> None:
    path, token = documents_of(ada), bearer(ada)

    with holding(ada.pk, UPLOADS):
        upload = read(send(web, path, MEGABYTE, token, f"Content-Type: {MULTIPART}"))
    with holding(ada.pk, ANSWERS):
        answer = read(send(web, "/v1/chat/completions", MEGABYTE, token))
    set_quota(ada, 10)
    add_usage(ada.pk, 5, 5)
    spent = read(send(web, "/v1/chat/completions", MEGABYTE, token))

    assert (upload[0], upload[1]["code"]) == (429, "too_many_at_once")
    assert (answer[0], answer[1]["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (spent[0], spent[1]["error"]["code"]) == (429, "insufficient_quota")
    for refusal in (upload, answer, spent):
        assert int(refusal[2]["retry-after"]) > 0


def test_a_body_under_way_holds_a_place_until_it_is_here(
    web: WebProcess, ada: User, redis_client: Redis
) -> None:
    path, token = documents_of(ada), bearer(ada)
    kind = f"Content-Type: {MULTIPART}"
    part = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        + b"The bridge opens in May. " * 4000
        + b"\r\n--x--\r\n"
    )
    assert len(part) > SMALL_BYTES

    first = send(web, path, len(part), token, kind)
    wait_for_places(redis_client, ada, 1)
    second = read(send(web, path, MEGABYTE, token, kind))
    first.settimeout(WAIT_SECONDS)
    first.sendall(part)
    created = read(first)

    assert (second[0], second[1]["code"]) == (429, "too_many_at_once")
    assert created[0] == 201, created
    assert Document.objects.get().title == "a.txt"
    wait_for_places(redis_client, ada, 0)


def test_who_leaves_in_the_middle_gives_the_place_back(
    web: WebProcess, ada: User, redis_client: Redis
) -> None:
    path, token = documents_of(ada), bearer(ada)
    with send(web, path, MEGABYTE, token, f"Content-Type: {MULTIPART}"):
        wait_for_places(redis_client, ada, 1)

    wait_for_places(redis_client, ada, 0)


def wait_for_places(redis: Redis, user: User, count: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while redis.zcard(held_key(UPLOADS, user.pk)) != count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_who_asks_too_often_is_told_and_a_refusal_counts_for_nothing_more(
    web: WebProcess, ada: User, at_once: None
) -> None:
    path, token = documents_of(ada), bearer(ada)
    kind = f"Content-Type: {MULTIPART}"

    def ask_small() -> int:
        with send(web, path, 2, token, "Content-Type: application/json") as client:
            client.sendall(b"{}")
            return int(client.recv(100).split()[1])

    with holding(ada.pk, UPLOADS):
        assert {read(send(web, path, MEGABYTE, token, kind))[0] for _ in range(3)} == {429}
    assert [ask_small() for _ in range(9)] == [400] * 9
    status, problem, _ = read(send(web, path, MEGABYTE, token, kind))

    assert (status, problem["code"]) == (429, "throttled")


def test_a_session_is_known_too_and_who_sends_all_the_same_reads_the_refusal(
    web: WebProcess, ada: User, redis_client: Redis
) -> None:
    browser = Client()
    browser.force_login(ada)
    cookie = f"Cookie: {settings.SESSION_COOKIE_NAME}={browser.cookies['sessionid'].value}"
    path, kind = documents_of(ada), f"Content-Type: {MULTIPART}"

    with send(web, path, MEGABYTE, cookie, kind):
        wait_for_places(redis_client, ada, 1)
    client = send(web, path, 2 * MEGABYTE, kind)
    client.sendall(b"a" * MEGABYTE)

    assert read(client)[0] == 401


@pytest.mark.parametrize("path", ["/api/v1/tokens", "/accounts/login/"])
def test_a_small_body_comes_in_from_anybody(web: WebProcess, path: str) -> None:
    with send(web, path, SMALL_BYTES) as client:
        assert is_waited_for(client)
