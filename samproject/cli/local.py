"""SAM's API inside this process: whoever reaches the database needs no web server and no token."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import django
import httpx2
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

from engines.long_lived import loading
from migrations_app.local_caller import SCOPE_KEY, LocalCaller, find_machine_user
from samproject.cli.client import TIMEOUT, Client
from samproject.cli.errors import CommandError
from samproject.env import settle_settings_module
from samproject.web.application import load_application

ANY_NAME = "*"
LOCAL_NAME = "localhost"

Message = dict[str, Any]


def connect(person: str | None) -> Client:
    """Return a client that acts as a person of this SAM, or without a name as the system itself.

    CommandError for settings that cannot be used, or without a database.
    """
    settle_settings_module()
    try:
        with loading():
            django.setup()
        connection.ensure_connection()
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from error
    except OperationalError as error:
        raise CommandError(
            f"The database does not answer: {' '.join(str(error).split())} Start `manage.py up` "
            "with the same SAM_DATA_DIR, check DATABASE_URL, or `sam login` to a SAM elsewhere."
        ) from error
    connection.close()
    transport = AppTransport(LocalCaller(person or "", find_machine_user()))
    # What is refused is told by the command itself. Only now: making the application sets the levels anew.
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    # What is waited for is a matter of a server's log, and not of who sees that an answer is being waited for.
    logging.getLogger("migrations_app.serving").setLevel(logging.WARNING)
    return Client(httpx2.Client(base_url=find_address(), transport=transport, timeout=TIMEOUT))


def find_address() -> str:
    """Return an address at which SAM answers; never dialled, but asked for by who checks names and https."""
    names = (name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != ANY_NAME)
    scheme = "https" if settings.SECURE_SSL_REDIRECT else "http"
    return f"{scheme}://{next(names, LOCAL_NAME)}"


class AppTransport(httpx2.BaseTransport):
    """Runs the web application on an event loop of its own; bodies of answers come as they are made.

    The library's own transport for ASGI waits for the whole body, so an answer would not stream.
    """

    def __init__(self, caller: LocalCaller) -> None:
        self._app = load_application()
        self._caller = caller
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="sam-api").start()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        exchange = _Exchange(body)
        task = asyncio.run_coroutine_threadsafe(
            self._run(self._scope(request, body), exchange), self._loop
        )
        start = exchange.next_message()
        if start is None:
            raise task.exception() or RuntimeError("The application answered nothing.")
        return httpx2.Response(
            start["status"],
            headers=start.get("headers", []),
            stream=_Body(exchange, lambda: self._loop.call_soon_threadsafe(exchange.leave)),
        )

    async def _run(self, scope: Message, exchange: _Exchange) -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            exchange.end()

    def _scope(self, request: httpx2.Request, body: bytes) -> Message:
        headers = [
            (name.lower(), value)
            for name, value in request.headers.raw
            if name.lower() not in (b"content-length", b"transfer-encoding")
        ]
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
            "client": ("127.0.0.1", 0),
            "server": ("localhost", 80),
            SCOPE_KEY: self._caller,
        }


class _Exchange:
    """One request and its answer, between the command's thread and the event loop."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._sent: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._left = asyncio.Event()

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        self._sent.put(message)

    def end(self) -> None:
        self._sent.put(None)

    def leave(self) -> None:
        """Tell the application that nobody reads on; on the loop's thread."""
        self._left.set()

    def next_message(self) -> Mapping[str, Any] | None:
        """Wait for what the application says next; None after its last word."""
        return self._sent.get()


class _Body(httpx2.SyncByteStream):
    def __init__(self, exchange: _Exchange, leave: Callable[[], object]) -> None:
        self._exchange = exchange
        self._leave = leave

    def __iter__(self) -> Iterator[bytes]:
        while (message := self._exchange.next_message()) is not None:
            if message["type"] == "http.response.body":
                yield message.get("body", b"")
                if not message.get("more_body"):
                    return

    def close(self) -> None:
        """Tell that nobody reads on, and wait until what was written so far is kept."""
        self._leave()
        while self._exchange.next_message() is not None:
            pass
