"""How long the web process waits for a client that does not say what it wants.

uvicorn bounds only the pause between two requests: a connection without a request, with half of one, or
with a body that comes drop by drop would be kept for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

CHECK_SECONDS = 2.0
REQUEST_SECONDS = 20.0
"""From the connection, or the end of the answer before, until a request's last header."""
BODY_SECONDS = 30.0
BODY_BYTES = 1024
"""A body that brings fewer in ``BODY_SECONDS`` is given up."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 whose clients must go on; the server's own turn is not timed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received = 0
        self._state: object = None
        self._since = 0.0
        self._next_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)

    def _look(self) -> None:
        """Look again and again whose turn it is, and end the connection of a client too slow."""
        now, state = self.loop.time(), self.conn.their_state
        if state is not self._state:
            self._begin(state, now)
        if state is h11.IDLE and now - self._since > REQUEST_SECONDS:
            self.transport.abort()
            return
        if state is h11.SEND_BODY and now - self._since > BODY_SECONDS:
            if self._received < BODY_BYTES:
                self.transport.abort()
                return
            self._begin(state, now)
        self._next_look = self.loop.call_later(CHECK_SECONDS, self._look)

    def _begin(self, state: object, now: float) -> None:
        self._state, self._since, self._received = state, now, 0
