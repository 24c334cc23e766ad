"""Every error of the API as problem+json (RFC 9457): a stable code and a sentence, never a trace."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpResponse
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import set_rollback

from engines import exceptions as sam
from engines.services.people.usage import QuotaExceededError
from migrations_app.accounts.second_factor import SecondFactorError
from migrations_app.limits.rates import TooManyRequestsError

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
LONGEST_SENTENCE = 800
"""Characters of what an error says."""
TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    411: "Content-Length is needed",
    412: "Changed meanwhile",
    413: "Too large",
    415: "Unsupported media type",
    422: "Key used for another request",
    428: "If-Match is needed",
    429: "Too many requests",
    500: "Internal error",
    502: "The engine or the Hub failed",
    503: "Temporarily unavailable",
}

STATUS_OF: tuple[tuple[type[sam.SamError], int], ...] = (
    (TooManyRequestsError, status.HTTP_429_TOO_MANY_REQUESTS),
    (SecondFactorError, status.HTTP_401_UNAUTHORIZED),
    (QuotaExceededError, status.HTTP_429_TOO_MANY_REQUESTS),
    (sam.NotFoundError, status.HTTP_404_NOT_FOUND),
    (sam.NotAllowedError, status.HTTP_403_FORBIDDEN),
    (sam.ConflictError, status.HTTP_409_CONFLICT),
    (sam.ArchiveError, status.HTTP_409_CONFLICT),
    (sam.ArtifactMissingError, status.HTTP_409_CONFLICT),
    (sam.InvalidRequestError, status.HTTP_400_BAD_REQUEST),
    (sam.UnsafeModelFileError, status.HTTP_400_BAD_REQUEST),
    (sam.UnsafeNameError, status.HTTP_400_BAD_REQUEST),
    (sam.AdapterMismatchError, status.HTTP_400_BAD_REQUEST),
    (sam.TextNotEmbeddableError, status.HTTP_400_BAD_REQUEST),
    (sam.AddressRefusedError, status.HTTP_400_BAD_REQUEST),
    (sam.HostUnavailableError, status.HTTP_503_SERVICE_UNAVAILABLE),
    (sam.EngineError, status.HTTP_502_BAD_GATEWAY),
    (sam.TransferError, status.HTTP_502_BAD_GATEWAY),
)


class WrongCredentials(exceptions.APIException):
    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "wrong_credentials"
    default_detail = "The user name or the password is wrong."


class PreconditionMissing(exceptions.APIException):
    status_code = status.HTTP_428_PRECONDITION_REQUIRED
    default_code = "precondition_required"
    default_detail = "Send If-Match with the ETag that you read, so that no other change is lost."


class PreconditionFailed(exceptions.APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"
    default_detail = "It was changed since you read it; read it again and repeat your change."


class BodyTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"


class LengthMissing(exceptions.APIException):
    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = "Send Content-Length; a body sent in chunks is not read here."


class KeyReused(exceptions.APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key belongs to another request; choose a new key."


class ProblemRenderer(JSONRenderer):
    media_type = PROBLEM_TYPE
    format = "problem"


def problem_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Turn any exception into a problem; the unexpected is logged and told as nothing but its code."""
    set_rollback()
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    elif isinstance(exc, RequestDataTooBig):
        exc = BodyTooLarge("The body is larger than what is allowed here.")
    elif isinstance(exc, SuspiciousOperation):
        # The framework's own refusals, such as of more than 1 000 parameters.
        exc = exceptions.ParseError(f"The request is not read: {exc}")
    if isinstance(exc, exceptions.APIException):
        response = _from_drf(exc)
    elif isinstance(exc, sam.SamError):
        response = _from_sam(exc)
    else:
        logger.error("An API request failed.", exc_info=exc)
        response = problem(500, "internal_error", "Something went wrong on our side; it is logged.")
    return _rendered_as_problem(response, context)


def problem_response(error: Exception) -> HttpResponse:
    """Return a problem as an answer, for what is refused before a view of the API is asked."""
    told = problem_handler(error, {})
    response = HttpResponse(
        ProblemRenderer().render(told.data), status=told.status_code, content_type=PROBLEM_TYPE
    )
    for name, value in told.headers.items():
        response.headers.setdefault(name, value)
    return response


def in_short(sentence: str) -> str:
    """Return a sentence whose middle is left out where it is long: it may repeat what was sent."""
    if len(sentence) <= LONGEST_SENTENCE:
        return sentence
    half = LONGEST_SENTENCE // 2
    return f"{sentence[:half]} … {sentence[-half:]}"


def problem(
    status_code: int,
    code: str,
    detail: str,
    *,
    errors: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the body every error has: type, title, status, code, detail and, of a form, its errors."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": TITLES.get(status_code, "Error"),
        "status": status_code,
        "code": code,
        "detail": in_short(detail),
    }
    if errors:
        body["errors"] = dict(errors)
    return Response(body, status=status_code, headers=headers, content_type=PROBLEM_TYPE)


def status_of(exc: sam.SamError) -> int:
    """Return the HTTP status that says what kind of refusal an error is."""
    return next((code for kind, code in STATUS_OF if isinstance(exc, kind)), 500)


def _from_sam(exc: sam.SamError) -> Response:
    status_code = status_of(exc)
    if status_code == status.HTTP_500_INTERNAL_SERVER_ERROR:
        logger.error("An API request failed.", exc_info=exc)
    wait = getattr(exc, "seconds", RETRY_AFTER_SECONDS if exc.transient else 0)
    headers = {"Retry-After": str(wait)} if wait else None
    return problem(status_code, exc.code, str(exc), headers=headers)


def _from_drf(exc: exceptions.APIException) -> Response:
    headers: dict[str, str] = {}
    if auth_header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    if isinstance(exc, exceptions.ValidationError):
        errors = dict(_flattened(exc.detail))
        first = next(iter(errors.items()), ("", ["The request is not valid."]))
        return problem(400, "invalid_request", _sentence(*first), errors=errors, headers=headers)
    codes = exc.get_codes()
    code = codes if isinstance(codes, str) else exc.default_code
    detail = str(exc.detail)
    if isinstance(exc, exceptions.ParseError) and not detail.endswith("."):
        # The parsers hand on the words of json and of the multipart reader, which are no sentence.
        detail = f"The body cannot be read ({detail}). Correct it and send it again."
    return problem(exc.status_code, code, detail, headers=headers)


def _flattened(detail: Any, path: str = "") -> list[tuple[str, list[str]]]:
    """List (path, sentences) of DRF's nested error details."""
    if isinstance(detail, dict):
        found = []
        for key, value in detail.items():
            found += _flattened(value, f"{path}.{key}" if path else str(key))
        return found
    if isinstance(detail, list) and all(isinstance(item, str) for item in detail):
        return [(path or "non_field_errors", [str(item) for item in detail])]
    if isinstance(detail, list):
        found = []
        for number, item in enumerate(detail):
            found += _flattened(item, f"{path}.{number}" if path else str(number))
        return found
    return [(path or "non_field_errors", [str(detail)])]


def _sentence(path: str, sentences: list[str]) -> str:
    # DRF's "No data provided" is the one message of its own without a full stop.
    text = sentences[0] if sentences[0].endswith((".", "!", "?")) else f"{sentences[0]}."
    return text if path in ("", "non_field_errors") else f"{path}: {text}"


def _rendered_as_problem(response: Response, context: Mapping[str, Any]) -> Response:
    """Answer with JSON also when the client asked for something that we cannot write."""
    request = context.get("request")
    if request is not None:
        request.accepted_renderer = ProblemRenderer()
        request.accepted_media_type = PROBLEM_TYPE
    return response
