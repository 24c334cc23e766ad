"""Clients that send drop by drop or nothing, and requests that are far too large."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from samproject.web.patience import BODY_SECONDS, CHECK_SECONDS, REQUEST_SECONDS
from tests.attacks.conftest import CHAT
from tests.attacks.plugin import AttackSize, Tally
from tests.attacks.served import Target
from tests.attacks.world import World
from tests.tokens import token_for

pytestmark = [pytest.mark.attack, pytest.mark.timeout(900)]

MIB = 2**20
POLICY = 4.0
"""How much later than promised a busy machine may let a client go."""
REFUSED = {302, 400, 401, 403, 404, 405, 413, 414, 415, 431}


def connect(target: Target) -> socket.socket:
    address = urlsplit(target.web.address)
    connection = socket.create_connection((str(address.hostname), int(address.port or 80)))
    connection.settimeout(60)
    return connection


HALF_HEADERS = b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
HALF_BODY = (
    b"POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100000\r\n\r\n{"
)
SLOW = {"says nothing": b"", "half headers": HALF_HEADERS, "half a body": HALF_BODY}


@pytest.mark.slow
def test_the_slow_are_let_go_and_stop_nobody(
    target: Target, attacked: World, attack_size: AttackSize, tally: Tally
) -> None:
    """The part of every change is ``tests/web/test_patience``, with a server of less patience."""
    before = target.require_idle()
    each = attack_size.choose(part=10, whole=100)
    token = token_for(attacked.people.alice)
    with ExitStack() as stack, target.web.client(token) as client:
        slow = [
            (stack.enter_context(connect(target)), begin)
            for begin in SLOW.values()
            for _ in range(each)
        ]
        for connection, begin in slow:
            connection.sendall(begin)
        end = time.monotonic() + (REQUEST_SECONDS + BODY_SECONDS + CHECK_SECONDS) * POLICY
        open_ = [connection for connection, _ in slow]
        while open_:
            assert time.monotonic() < end, f"{len(open_)} slow clients are still connected"
            # Others are answered meanwhile.
            answered = client.get(f"{target.web.address}/api/v1/me")
            assert answered.status_code == 200
            open_ = [connection for connection in open_ if drips(connection)]
            time.sleep(1)

    tally.add("slow clients", len(slow))
    target.require_nothing_left(before)
    target.require_alive()


def drips(connection: socket.socket) -> bool:
    """Send one more byte; False when the server has ended the connection."""
    connection.settimeout(0.01)
    with suppress(TimeoutError):
        try:
            connection.sendall(b"a")
            return connection.recv(1) != b""
        except ConnectionError:
            return False
    return True


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


TOOL = {"type": "function", "function": {"name": "f", "description": "x" * 80_000}}


def huge_bodies() -> dict[str, tuple[str, str | bytes]]:
    """Address and body by name; made when they are sent, as every process of a run reads this file."""
    largest = b"x" * (200 * MIB)
    return {
        "a deep list": ("/v1/chat/completions", deep(100_000)),
        "a deep list for REST": ("/api/v1/plans", deep(100_000)),
        "deep objects": ("/api/v1/search", '{"a":' * 50_000 + "1" + "}" * 50_000),
        "a long number": ("/api/v1/search", '{"query": "a", "k": ' + "9" * 1_000_000 + "}"),
        "a long number for /v1": ("/v1/chat/completions", '{"model": ' + "9" * 1_000_000 + "}"),
        "a long field": ("/api/v1/conversations", json.dumps({"title": "x" * MIB})),
        "a long message": (
            "/v1/chat/completions",
            json.dumps({**CHAT, "messages": [{"role": "user", "content": "x" * (2 * MIB)}]}),
        ),
        "many messages": (
            "/v1/chat/completions",
            json.dumps({**CHAT, "messages": CHAT["messages"] * 50_000}),  # type: ignore[operator]
        ),
        "80 KB of a tool": ("/v1/chat/completions", json.dumps({**CHAT, "tools": [TOOL]})),
        "many tools": ("/v1/chat/completions", json.dumps({**CHAT, "tools": [TOOL] * 128})),
        "many keys": ("/api/v1/plans", json.dumps({f"a{number}": 1 for number in range(100_000)})),
        "a body of 200 MB": ("/api/v1/plans", largest),
        "a body of 200 MB for /v1": ("/v1/embeddings", largest),
        "an upload of 200 MB": ("/api/v1/adapters", largest),
    }


HUGE_ADDRESSES = {
    "a long path": "/api/v1/plans/" + "a" * 60_000,
    "a long path of /v1": "/v1/models/" + "a" * 60_000,
    "a long query": "/api/v1/search?query=" + "a" * 60_000,
    "many parameters": "/api/v1/plans?" + "&".join(f"a{number}=1" for number in range(8_000)),
    "a deep path": "/api/v1" + "/a" * 30_000,
    # Django refuses to redirect to a longer one (400), and logs where it stood as if it had failed.
    "a page": "/admin/" + "a" * 12_000,
}


@pytest.fixture
def client(target: Target, attacked: World) -> Iterator[httpx2.Client]:
    with target.web.client(token_for(attacked.people.administrator)) as client:
        yield client


def answer_of(client: httpx2.Client, method: str, address: str, **options: Any) -> int | None:
    """The status; None when the server ended the connection instead of reading on."""
    try:
        return client.request(method, address, **options).status_code
    except (httpx2.NetworkError, httpx2.RemoteProtocolError):
        return None


def test_the_huge_is_refused(target: Target, client: httpx2.Client, tally: Tally) -> None:
    before = target.require_idle()
    resident = target.web.process.memory_info().rss
    json_type = {"Content-Type": "application/json"}
    found = {
        name: answer_of(
            client, "POST", f"{target.web.address}{path}", content=body, headers=json_type
        )
        for name, (path, body) in huge_bodies().items()
    }
    found |= {
        name: answer_of(client, "GET", f"{target.web.address}{address}")
        for name, address in HUGE_ADDRESSES.items()
    }
    many = [("X-Many", "a" * 100)] * 2_000
    found["many headers"] = answer_of(
        client, "GET", f"{target.web.address}/api/v1/me", headers=many
    )

    # Many headers are only many headers.
    assert found.pop("many headers") in {200, *REFUSED, None}
    assert {name: status for name, status in found.items() if status not in {*REFUSED, None}} == {}
    tally.add("huge requests", len(found))
    # 600 MB were sent; what a process keeps of it is its allocator's.
    assert target.web.process.memory_info().rss - resident < 400 * MIB
    target.require_nothing_left(before)
    target.require_alive()
    assert client.post("chat/completions", json=CHAT).status_code == 200
