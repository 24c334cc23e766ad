"""Reads what servers stream that speak OpenAI's API, as they are: each leaves out something else."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from engines.exceptions import (
    ContextLengthError,
    EngineError,
    HostUnavailableError,
    InvalidRequestError,
)
from engines.runtimes.servers.base import MAX_ANSWER_CHARS, ServerEnding, quote_text
from engines.runtimes.servers.tool_formats import OpenAICalls
from engines.runtimes.text.generation import Piece
from engines.runtimes.text.response_format import Json

BUSY = frozenset({408, 409, 425, 429, 502, 503, 504})
BAD_REQUEST = 400
REFUSED = frozenset({BAD_REQUEST, 413, 422})
TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})
"""How OpenAI and llama-server name a prompt that does not fit."""
SAYS_TOO_LONG = re.compile(
    "maximum context length|context length is only|maximum model length|"
    "longer than the model's context length|(?:greater than|exceeds) the (?:available )?context",
    re.IGNORECASE,
)
"""What vLLM, SGLang, LM Studio and others say of one, without a name of its own."""
DONE = b"[DONE]"
HTTP_ERRORS = range(400, 600)


def error_for_status(endpoint: str, status: int, message: object, code: object = None) -> Exception:
    """Return the error that a server's status stands for, with what it said."""
    said = f"The server at {endpoint} answered with status {status} ({quote_text(message)})"
    if status in BUSY:
        return HostUnavailableError(f"{said}; try again later.")
    if status in REFUSED:
        if code in TOO_LONG or SAYS_TOO_LONG.search(str(message)):
            # Anthropic's clients shorten a conversation by these words.
            return ContextLengthError(
                f"The prompt is too long. {said}; shorten the prompt or use an engine with a longer context."
            )
        return InvalidRequestError(f"{said}; change the request.")
    if status in (401, 403):
        return EngineError(f"{said}; give it a valid key.")
    return EngineError(f"{said}; correct the entry's address and model.")


def read_data(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the data of each server-sent event; EngineError for one that never ends."""
    rest = b""
    data: list[bytes] = []
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MAX_ANSWER_CHARS:
            raise EngineError("The server sent a part of an answer that never ends; look at it.")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].lstrip())
            elif not line and data:
                yield b"\n".join(data)
                data = []
    if rest.startswith(b"data:"):
        data.append(rest[5:].strip())
    if data:
        yield b"\n".join(data)


class AnswerReader:
    """Reads the chunks of one answer, of either kind of request."""

    def __init__(self, endpoint: str, tools: Collection[str]) -> None:
        self._endpoint = endpoint
        self._reason = ""
        self._pieces = 0
        self._usage: Json = {}
        self._is_counted = False
        self._is_done = False
        self._calls = OpenAICalls(tools)

    def read_stream(self, parts: Iterable[bytes]) -> Iterator[Piece]:
        """Yield the pieces of a stream, up to its end."""
        for data in read_data(parts):
            if data.startswith(DONE):
                self._is_done = True
                return
            yield from self._read(json.loads(data))

    def read_whole(self, body: bytes) -> Iterator[Piece]:
        """Yield the pieces of an answer that came whole although a stream was asked for."""
        self._is_done = True
        yield from self._read(json.loads(body))

    def calls(self) -> Iterator[Piece]:
        """Yield the calls, which are complete at the end only."""
        return self._calls.pieces()

    def ending(self, limit: int, *, names_reasons: bool) -> ServerEnding:
        """Return how the answer ended; EngineError for a stream that was cut.

        A finish reason proves that it was not, and so does ``[DONE]`` or the count of tokens at the end
        but of a server that is known to name its reasons (``names_reasons``).
        """
        is_whole = (self._is_done or self._is_counted) and self._has_said and not names_reasons
        if not (self._reason or is_whole):
            raise EngineError(
                f"The server at {self._endpoint} ended the stream in the middle of the answer; another "
                "request may have taken its place. Ask again."
            )
        tokens = int(self._usage.get("completion_tokens") or 0) or self._pieces
        is_cut = self._reason == "length" or (not self._reason and 0 < limit <= tokens)
        return ServerEnding(
            "length" if is_cut else "stop",
            prompt_tokens=int(self._usage.get("prompt_tokens") or 0),
            answer_tokens=tokens,
        )

    @property
    def _has_said(self) -> bool:
        return self._pieces > 0 or self._calls.has_any

    def _read(self, chunk: Any) -> Iterator[Piece]:
        if not isinstance(chunk, dict):
            raise TypeError(f"{chunk!r:.60} is no object")
        if chunk.get("error") or chunk.get("object") == "error":
            raise self._error(chunk.get("error") or chunk)
        choices = chunk.get("choices") or ()
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
            self._is_counted = not choices
        for choice in choices:
            self._reason = choice.get("finish_reason") or self._reason
            delta = choice.get("delta") or choice.get("message")
            self._calls.take(delta or {})
            for piece in _texts(delta) if delta else _plain(choice.get("text")):
                self._pieces += 1
                yield piece

    def _error(self, error: Any) -> Exception:
        fields = error if isinstance(error, dict) else {"message": error}
        message, code = fields.get("message"), fields.get("code")
        if SAYS_TOO_LONG.search(str(message)):
            code = BAD_REQUEST
        if isinstance(code, int) and code in HTTP_ERRORS:
            return error_for_status(self._endpoint, code, message, fields.get("type"))
        return EngineError(
            f"The server at {self._endpoint} broke its answer off ({quote_text(message)}); ask again, or "
            "look at its log."
        )


def _texts(delta: Json) -> Iterator[Piece]:
    # vLLM and llama-server separate the reasoning themselves, by one of two names.
    yield from _plain(delta.get("reasoning_content") or delta.get("reasoning"), is_reasoning=True)
    yield from _plain(delta.get("content"))


def _plain(content: Any, *, is_reasoning: bool = False) -> Iterator[Piece]:
    """Yield a text, or the texts of parts as Mistral's servers send them."""
    if isinstance(content, str):
        if content:
            yield Piece(content, is_reasoning)
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict):
                yield from _plain(part.get("text"), is_reasoning=is_reasoning)
                yield from _plain(part.get("thinking"), is_reasoning=True)
