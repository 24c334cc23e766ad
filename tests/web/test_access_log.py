from __future__ import annotations

import logging
from typing import Any

import pytest
from django.conf import settings

from samproject.web.access_log import LOGGING, WithoutQuery, WithoutTrace


@pytest.mark.parametrize(
    ("asked", "logged"),
    [
        ("/api/v1/search?query=secret", "/api/v1/search"),
        ("/v1/models", "/v1/models"),
        ("/?", "/"),
        ("/join/?key=secret", "/join/"),
        ("/accounts/password/reset/key/1-secret/", "/accounts/password/reset/key/..."),
        ("/accounts/confirm-email/secret/", "/accounts/confirm-email/..."),
    ],
)
def test_a_query_is_not_logged(asked: str, logged: str) -> None:
    arguments = ("127.0.0.1:5", "GET", asked, "1.1", 200)
    record = logging.LogRecord(
        "uvicorn.access", 20, "", 1, '%s - "%s %s HTTP/%s" %d', arguments, None
    )

    assert WithoutQuery().filter(record)

    assert record.getMessage() == f'127.0.0.1:5 - "GET {logged} HTTP/1.1" 200'
    assert LOGGING["handlers"]["access"]["filters"] == ["without_query"]


@pytest.mark.parametrize(
    ("logger", "has_trace"), [("django.security.DisallowedHost", False), ("django.request", True)]
)
def test_a_refusal_is_logged_without_where_it_was_raised(logger: str, *, has_trace: bool) -> None:
    error = ValueError("Invalid HTTP_HOST header")
    raised = (ValueError, error, error.__traceback__)
    record = logging.LogRecord(logger, 40, "", 1, "Refused.", (), raised)

    assert WithoutTrace().filter(record)

    assert (record.exc_info is not None) is has_trace
    handlers: Any = settings.LOGGING["handlers"]
    assert handlers["console"]["filters"] == ["without_trace"]
