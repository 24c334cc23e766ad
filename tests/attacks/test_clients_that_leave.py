"""Clients that ask and go: before the first word, after it, in the middle, without a word of goodbye."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.attacks.conftest import CHAT
from tests.attacks.plugin import AttackSize, Tally
from tests.attacks.served import Target
from tests.attacks.world import World
from tests.tokens import token_for

pytestmark = [pytest.mark.attack, pytest.mark.timeout(1200)]

AT_ONCE = 16
LONG = {**CHAT, "stream": True, "max_tokens": 400}

Leaving = Callable[[Target, str], None]


def before_the_answer(target: Target, token: str) -> None:
    """Send the request, read nothing, go."""
    connection = _asked(target, token, LONG)
    connection.close()


def without_a_goodbye(target: Target, token: str) -> None:
    """The same with a reset instead of an end, as of a machine that is switched off."""
    connection = _asked(target, token, LONG)
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def after_the_first_word(target: Target, token: str) -> None:
    with (
        target.web.client(token) as client,
        client.stream("POST", "chat/completions", json=LONG) as answer,
    ):
        assert answer.status_code == 200
        next(answer.iter_raw())


def in_the_middle_of_the_request(target: Target, token: str) -> None:
    connection = _asked(target, token, LONG, bytes_of_the_body=20)
    connection.close()


WAYS: tuple[Leaving, ...] = (
    before_the_answer,
    without_a_goodbye,
    after_the_first_word,
    in_the_middle_of_the_request,
)


def _asked(
    target: Target, token: str, body: Any, *, bytes_of_the_body: int | None = None
) -> socket.socket:
    """A connection on which a request was sent, or the beginning of one."""
    address = urlsplit(target.web.address)
    text = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    connection = socket.create_connection((str(address.hostname), int(address.port or 80)))
    connection.settimeout(120)
    connection.sendall(head.encode() + text[:bytes_of_the_body])
    return connection


@pytest.mark.slow
def test_streams_that_are_left_leave_nothing_behind(
    target: Target, attacked: World, attack_size: AttackSize, tally: Tally
) -> None:
    token = token_for(attacked.people.alice)
    count = attack_size.choose(part=16, whole=128)
    # The first round makes threads and connections that stay.
    _leave(target, token, AT_ONCE)
    before = target.require_idle()

    _leave(target, token, count)

    now = target.require_nothing_left(before)
    tally.add("clients that left", count)
    assert (now.keys, now.reservations) == (0, 0)
    assert now.processes <= before.processes
    target.require_alive()
    with target.web.client(token_for(attacked.people.bob)) as client:
        assert client.post("chat/completions", json=CHAT).status_code == 200


def _leave(target: Target, token: str, count: int) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(lambda number: WAYS[number % len(WAYS)](target, token), range(count)):
            pass
