"""A server that speaks OpenAI's API in its own way: over real HTTP, as a test tells it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


@dataclass
class PickyServer:
    """What it answers, and what it was asked."""

    chunks: Sequence[Json | str] = ()
    """Of a stream: objects as data, texts as they are."""
    refuse: Callable[[Json], tuple[int, Json] | None] = lambda _body: None
    """A refusal of a body; None takes it."""
    lists_models: bool = True
    whole: Json | None = None
    """An answer that comes whole although a stream was asked for."""
    asked: list[Json] = field(default_factory=list)
    endpoint: str = ""

    def answer(self, body: Json) -> tuple[int, str, str]:
        """The status, the type and the text of an answer."""
        self.asked.append(body)
        refused = self.refuse(body)
        if refused is not None:
            return refused[0], "application/json", json.dumps(refused[1])
        if "input" in body:
            return (
                200,
                "application/json",
                json.dumps({"data": [{"index": 0, "embedding": [3, 4]}]}),
            )
        if self.whole is not None:
            return 200, "application/json; charset=utf-8", json.dumps(self.whole)
        parts = [
            one if isinstance(one, str) else f"data: {json.dumps(one)}\n\n" for one in self.chunks
        ]
        return 200, "text/event-stream", "".join(parts)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.server.picky.lists_models:
            self._send(200, "application/json", json.dumps({"data": [{"id": "m"}]}))
        else:
            self._send(404, "text/html", "<html>Not here.</html>")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "token" in self.path:
            self._send(404, "application/json", "{}")
        else:
            self._send(*self.server.picky.answer(body))

    def _send(self, status: int, kind: str, body: str) -> None:
        # Without a length: the connection's end is the body's, as many servers stream.
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Tests are silent."""


class _Server(ThreadingHTTPServer):
    picky: PickyServer


@contextmanager
def picky_server(**behaviour: Any) -> Iterator[PickyServer]:
    """Run the server for as long as the block."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.picky = PickyServer(
            **behaviour, endpoint=f"http://127.0.0.1:{server.server_port}/v1"
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.picky
        finally:
            server.shutdown()
            thread.join()
