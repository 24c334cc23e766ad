"""Clients that do not go on are let go; those that do, and answers that take long, are not."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from samproject.web import patience
from samproject.web.patience import PatientProtocol

pytestmark = pytest.mark.attack

ANSWER_SECONDS = 1.5


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the whole body, wait, and say how long it was."""
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(ANSWER_SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server whose patience is a second."""
    monkeypatch.setattr(patience, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(patience, "REQUEST_SECONDS", 0.6)
    monkeypatch.setattr(patience, "BODY_SECONDS", 0.6)
    config = uvicorn.Config(
        application, port=0, lifespan="off", http=PatientProtocol, log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join()


def is_let_go(client: socket.socket, drip: bytes = b"") -> bool:
    """Whether the server ends the connection, a byte of ``drip`` at a time or none."""
    client.settimeout(0.2)
    for number in range(100):
        try:
            if drip:
                client.sendall(drip[number : number + 1])
            if client.recv(1000) == b"":
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: ye"], ids=len
)
def test_a_connection_without_a_whole_request_is_let_go(
    address: tuple[str, int], sent: bytes
) -> None:
    with socket.create_connection(address) as client:
        client.sendall(sent)
        assert is_let_go(client)


def test_headers_that_come_drop_by_drop_are_let_go(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        assert is_let_go(client, drip=b"a" * 100)


@pytest.mark.parametrize("drip", [b"", b"a" * 100], ids=["silent", "drops"])
def test_a_body_that_does_not_come_is_let_go(address: tuple[str, int], drip: bytes) -> None:
    with socket.create_connection(address) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert is_let_go(client, drip)


def test_a_body_that_comes_in_time_is_read_however_long_it_takes(address: tuple[str, int]) -> None:
    part = b"a" * patience.BODY_BYTES
    with socket.create_connection(address) as client:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(part) * 10}\r\n\r\n"
        client.sendall(head.encode())
        for _ in range(10):
            client.sendall(part)
            time.sleep(0.15)
        assert b"10240" in client.recv(1000)


def test_an_answer_may_take_longer_than_a_client_may(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in client.recv(1000)
