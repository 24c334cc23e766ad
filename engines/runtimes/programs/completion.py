"""Client of one llama-server over its Unix socket: tokens in, texts and vectors out.

Source: llama.cpp's tools/server/README.md. What it sends is not trusted: it has read a model file.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from engines.exceptions import EngineError, HostUnavailableError
from engines.runtimes.programs.process import listens
from engines.runtimes.servers.base import quote_text
from engines.runtimes.servers.openai_stream import read_data
from engines.runtimes.text.response_format import Json

BASE = "http://llama-server"
"""A name that is never looked up."""
CONNECT_SECONDS = 10.0
HEALTH_SECONDS = 2.0
FULL = "Context size has been exceeded"
OK = 200
MAX_REFUSAL = 64 * 1024
MORE_CONNECTIONS = 4


class ContextFullError(EngineError):
    """The answers in flight have more tokens than the context that they share."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer; the last one says why it ended."""

    text: str
    tokens: tuple[int, ...]
    made: int
    """Tokens of the answer so far."""
    reason: str = ""
    """Why it ended, in the server's words."""
    reused: int = 0
    """Tokens of the prompt that were in the slot already; known at the end."""


class CompletionClient:
    """Thread-safe."""

    def __init__(self, socket: str, read_seconds: float, connections: int) -> None:
        """``socket`` is the path that it listens on."""
        self._socket = socket
        wait = httpx2.Timeout(read_seconds, connect=CONNECT_SECONDS)
        limits = httpx2.Limits(max_connections=connections + MORE_CONNECTIONS)
        transport = httpx2.HTTPTransport(uds=socket, limits=limits)
        self._client = httpx2.Client(transport=transport, base_url=BASE, timeout=wait)

    def close(self) -> None:
        self._client.close()

    def is_ready(self) -> bool:
        """Whether the model is loaded."""
        if not listens(self._socket):
            return False
        try:
            return self._client.get("/health", timeout=HEALTH_SECONDS).status_code == OK
        except httpx2.TransportError:
            return False

    def complete(self, fields: Json) -> Generator[Chunk, None, None]:
        """Yield an answer's pieces; ContextFullError, EngineError, and HostUnavailableError for a broken connection."""
        body = {**fields, "stream": True, "return_tokens": True}
        try:
            with self._client.stream("POST", "/completion", json=body) as reply:
                if reply.status_code != OK:
                    raise _refusal(_read_some(reply))
                for data in read_data(reply.iter_bytes()):
                    yield _chunk(json.loads(data))
        except httpx2.TransportError as error:
            raise HostUnavailableError("llama-server broke the answer off; ask again.") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _misunderstood(error) from error

    def embed(self, windows: Sequence[Sequence[int]]) -> list[Any]:
        """Return a vector for each list of tokens, unchecked.

        One at a time: what is computed together changes a vector's last bits.
        """
        try:
            return [self._embed(tokens) for tokens in windows]
        except httpx2.TransportError as error:
            raise HostUnavailableError("llama-server broke off; ask again.") from error
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise _misunderstood(error) from error

    def _embed(self, tokens: Sequence[int]) -> Any:
        body = {"content": [list(tokens)], "embd_normalize": -1}
        reply = self._client.post("/embeddings", json=body)
        if reply.status_code != OK:
            raise _refusal(reply.content)
        return reply.json()[0]["embedding"][0]


def _chunk(sent: Any) -> Chunk:
    if "error" in sent:
        raise _error(sent["error"])
    timings = sent.get("timings") or {}
    return Chunk(
        text=str(sent["content"]),
        tokens=tuple(map(int, sent.get("tokens") or ())),
        made=int(sent["tokens_predicted"]),
        reason=str(sent.get("stop_type") or "none") if sent.get("stop") else "",
        reused=int(timings.get("cache_n") or 0),
    )


def _read_some(reply: httpx2.Response) -> bytes:
    body = b""
    for part in reply.iter_bytes():
        body += part
        if len(body) > MAX_REFUSAL:
            break
    return body[:MAX_REFUSAL]


def _refusal(body: bytes) -> EngineError:
    try:
        return _error(json.loads(body)["error"])
    except (ValueError, TypeError, LookupError):
        return _error(body.decode("utf-8", "replace"))


def _error(said: Any) -> EngineError:
    message = said.get("message") if isinstance(said, dict) else said
    if FULL in str(message):
        return ContextFullError("The answers in flight fill the engine's context; ask again.")
    return EngineError(f"llama-server refused the request ({quote_text(message)}).")


def _misunderstood(error: Exception) -> EngineError:
    return EngineError(
        f"llama-server sent something that cannot be understood ({quote_text(error)}); use a newer one."
    )
