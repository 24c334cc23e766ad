"""A client of server-sent events as a browser is one: it reads in a thread of its own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2

PATIENCE = 120.0


@dataclass(frozen=True)
class Received:
    """One event, with the id that the client holds then."""

    name: str
    data: dict[str, Any]
    id: str
    at: float


class Listening:
    """Reads a stream until it ends or the block is left."""

    def __init__(self, address: str, token: str, *, last_id: str = "") -> None:
        self.events: list[Received] = []
        self.last_id = last_id
        self.retry: list[int] = []
        self.comments = 0
        self.headers: httpx2.Headers | None = None
        self.ended = threading.Event()
        sent = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        if last_id:
            sent["Last-Event-ID"] = last_id
        self._address, self._headers = address, sent
        self._client = httpx2.Client(timeout=PATIENCE)
        self._socket: socket.socket | None = None
        self.broke_off = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Listening:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            # Closing the client would wait for what its thread waits for.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._client.close()

    def _run(self) -> None:
        try:
            with self._client.stream("GET", self._address, headers=self._headers) as answer:
                assert answer.status_code == 200, answer.read()
                self.headers = answer.headers
                self._socket = answer.extensions["network_stream"].get_extra_info("socket")
                self._read(answer)
        except (httpx2.HTTPError, OSError):
            # The server was killed, or the block was left.
            self.broke_off = True
        finally:
            self.ended.set()

    def _read(self, answer: httpx2.Response) -> None:
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line.startswith(":"):
                self.comments += 1
            elif line:
                field, _, value = line.partition(": ")
                fields[field] = value
            else:
                self._take(fields)
                fields = {}

    def _take(self, fields: dict[str, str]) -> None:
        if "retry" in fields:
            self.retry.append(int(fields["retry"]))
        if "data" in fields:
            self.last_id = fields.get("id", self.last_id)
            data = json.loads(fields["data"])
            self.events.append(Received(fields["event"], data, self.last_id, time.monotonic()))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event.data for event in list(self.events) if event.name == name]

    def wait_for(self, holds: Callable[[dict[str, Any]], bool], name: str) -> dict[str, Any]:
        """Return the first event of this name for which something holds."""
        deadline = time.monotonic() + PATIENCE
        while True:
            is_over = self.ended.is_set()
            for data in self.named(name):
                if holds(data):
                    return data
            assert not is_over, f"ended without {name}: {self.events}"
            assert time.monotonic() < deadline, f"no {name}: {self.events}"
            time.sleep(0.02)

    def first(self, name: str) -> dict[str, Any]:
        return self.wait_for(lambda _: True, name)
