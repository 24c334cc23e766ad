"""Errors in the shape OpenAI's clients read: message, type, param and code."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NoReturn

from django.http import HttpResponse

from engines.exceptions import SamError
from engines.services.people.usage import QuotaExceededError
from migrations_app.api.problems import RETRY_AFTER_SECONDS, STATUS_OF, in_short
from migrations_app.limits.rates import TooManyRequestsError
from migrations_app.openai_api.response_bodies import ErrorBody, ErrorDetail, body_response

logger = logging.getLogger(__name__)

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED = 401, 403, 404, 405
TOO_LARGE, WRONG_MEDIA, TOO_MANY = 413, 415, 429
INTERNAL, UNAVAILABLE = 500, 503
MAX_WAIT_SECONDS = 60
"""What a client may be asked to wait for."""
SERVED = tuple(
    f"/v1/{name}"
    for name in (
        *("chat/completions", "completions", "embeddings", "models", "rerank", "responses"),
        *("messages", "messages/count_tokens"),
    )
)
"""What programs find below ``/v1``."""
WITHOUT_BASE = tuple(
    f"/{name}"
    for name in ("chat/completions", "completions", "embeddings", "models", "rerank", "responses")
)
"""What a program asks for whose base address lacks its end."""
KEPT_ELSEWHERE = ("/v1/responses/resp_", "/v1/conversations", "/v1/threads")
"""Where OpenAI keeps what was answered."""
ELSEWHERE = {
    "messages": "they are what /v1/chat/completions and /v1/messages take",
    "input": "it is what /v1/responses and /v1/embeddings take",
    "prompt": "it is what /v1/completions and /api/generate take",
    "max_tokens": "/v1/responses calls it max_output_tokens",
    "max_completion_tokens": "/v1/responses calls it max_output_tokens",
    "max_output_tokens": "/v1/chat/completions calls it max_tokens",
    "response_format": "/v1/responses takes it as text.format",
    "extra_body": "send what it holds beside the other fields",
}
"""Fields that are none where they are sent by mistake, and what to do instead."""
TYPES = {
    UNAUTHORIZED: "authentication_error",
    TOO_MANY: "insufficient_quota",
}
CODES = {
    "quota_exceeded": "insufficient_quota",
    "throttled": "rate_limit_exceeded",
    "too_many_at_once": "rate_limit_exceeded",
}
"""OpenAI's words for codes of ours: by them clients know what to wait for, and what not to ask again for."""


class RefusedError(SamError):
    """A request that cannot be carried out as it stands; ``param`` names the field at fault."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        status: int = 400,
        code: str = "invalid_request",
    ) -> None:
        super().__init__(message)
        self.param = param
        self.status = status
        self.code = code


class WrongMethodError(RefusedError):
    """A request of a method that an address does not know; ``allowed`` is the one it knows."""

    def __init__(self, allowed: str) -> None:
        super().__init__(f"Use {allowed} here.", status=NOT_ALLOWED, code="method_not_allowed")
        self.allowed = allowed


def too_large() -> RefusedError:
    """Return the refusal of a body that is not read."""
    return RefusedError(
        "The body is larger than what is allowed here.", status=TOO_LARGE, code="too_large"
    )


def nothing_at(path: str) -> RefusedError:
    """Return the refusal of an address that is not served, with those that are."""
    return RefusedError(
        f"There is nothing at {path:.100}. {_hint_at(path)}", status=NOT_FOUND, code="not_found"
    )


def _hint_at(path: str) -> str:
    if path.startswith("/v1/v1/messages"):
        return f"The base address of Anthropic's clients ends before /v1: ask {path[3:]:.100}."
    if path.startswith("/v1/v1/"):
        return f"The base address of OpenAI's clients ends in /v1, once: ask {path[3:]:.100}."
    if path.rstrip("/") in WITHOUT_BASE:
        return f"The base address of OpenAI's clients ends in /v1, once: ask /v1{path}."
    if path.startswith(KEPT_ELSEWHERE):
        return (
            "SAM keeps no answers for programs; send the earlier items in input to /v1/responses."
        )
    if path.startswith("/mcp/"):
        return "MCP is served at /mcp."
    if path.startswith("/v2/"):
        return "Of Cohere's newer addresses there is /v2/rerank."
    return f"Served are {', '.join(SERVED)}; /api/schema/openai/ describes them."


def unknown_field(names: Iterable[str]) -> RefusedError:
    """Return the refusal of one of several fields that are not known, first of one that is elsewhere."""
    name = min(names, key=lambda name: (name not in ELSEWHERE, name))
    instead = ELSEWHERE.get(name, "leave it out")
    return RefusedError(
        f"There is no field {name!r:.60} here; {instead}.", param=name, code="unknown_parameter"
    )


def refuse(param: str, why: str) -> NoReturn:
    """Raise RefusedError that names a field and what is wrong with it."""
    raise RefusedError(f"{param} {why}.", param=param)


def error_body(error: SamError) -> ErrorBody:
    """Return the body of an error, also sent in a stream that breaks off."""
    status = status_of(error)
    kind = TYPES.get(status, "server_error" if status >= INTERNAL else "invalid_request_error")
    if isinstance(error, TooManyRequestsError):
        kind = "rate_limit_error"
    param = getattr(error, "param", None)
    code = CODES.get(error.code, error.code)
    return ErrorBody(ErrorDetail(message=in_short(str(error)), type=kind, param=param, code=code))


def error_response(error: SamError) -> HttpResponse:
    """Return an error as an answer; what passes by itself says when to come again."""
    status = status_of(error)
    if status == INTERNAL:
        logger.error("A request to /v1 failed.", exc_info=error)
    response = body_response(error_body(error), status=status)
    if isinstance(error, WrongMethodError):
        response["Allow"] = error.allowed
    if status == UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if isinstance(error, QuotaExceededError | TooManyRequestsError):
        response["Retry-After"] = str(error.seconds)
        if error.seconds > MAX_WAIT_SECONDS:
            # The clients' own header: waiting for tomorrow is not theirs to do.
            response["x-should-retry"] = "false"
    elif error.transient:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def status_of(error: SamError) -> int:
    """Return the status that an error is answered with."""
    if isinstance(error, RefusedError):
        return error.status
    if isinstance(error, QuotaExceededError):
        return TOO_MANY
    usual = UNAVAILABLE if error.transient else INTERNAL
    return next((status for kind, status in STATUS_OF if isinstance(error, kind)), usual)
