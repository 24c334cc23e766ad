from __future__ import annotations

import json
from typing import Any

import pytest
from django.db.models import QuerySet
from rest_framework.test import APIClient

from engines.models import KnowledgeBase
from migrations_app.api.views.hosts import HostViews
from tests.api.roles import Engines, People, problem

JSON = "application/json"


def send(client: APIClient, body: bytes, content_type: str = JSON) -> Any:
    return client.generic("POST", "/api/v1/knowledge-bases", body, content_type=content_type)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"NaN",
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}',
        b'{"name": ' + b"9" * 5000 + b"}",
        b'{"name": {"a": 1}}',
        b'{"name": ["a"]}',
        b'{"name": true}',
        b'{"name": ""}',
        b'{"name": "   "}',
        b'{"name": "x", "owner": 1}',
        b'{"name": "x", "write_seq": 9}',
        json.dumps({"name": "x" * 201}).encode(),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"name":' * 50_000 + b"1" + b"}" * 50_000,
    ],
)
def test_a_malformed_body_is_400_and_nothing_is_made(alice: APIClient, body: bytes) -> None:
    problem(send(alice, body), 400, json_code(body))

    assert not KnowledgeBase.objects.exists()


def json_code(body: bytes) -> str:
    """A body that is no JSON is a parse error; one that is, an invalid request."""
    try:
        json.loads(body, parse_constant=lambda name: 1 / 0)
    except (ValueError, RecursionError, ZeroDivisionError):
        return "invalid_request" if not body else "parse_error"
    return "invalid_request"


def test_a_body_over_the_limit_is_413_before_it_is_read(alice: APIClient) -> None:
    problem(send(alice, b" " * (10 * 2**20)), 413, "body_too_large")

    assert not KnowledgeBase.objects.exists()


def test_a_body_in_chunks_is_411_and_not_taken_for_an_empty_one(alice: APIClient) -> None:
    answer = alice.post(
        "/api/v1/knowledge-bases",
        {"name": "x"},
        format="json",
        CONTENT_LENGTH="",
        HTTP_TRANSFER_ENCODING="chunked",
    )

    problem(answer, 411, "length_required")
    assert not KnowledgeBase.objects.exists()


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1", "/api/v2/plans", "/api/schemas"])
def test_what_is_not_there_below_api_is_a_problem_too(alice: APIClient, path: str) -> None:
    problem(alice.get(path), 404, "not_found")
    problem(alice.post(path), 404, "not_found")


def test_a_body_of_another_kind_is_415(alice: APIClient) -> None:
    problem(
        send(alice, b"name=x", "application/x-www-form-urlencoded"), 415, "unsupported_media_type"
    )
    problem(send(alice, b"<x/>", "text/xml"), 415, "unsupported_media_type")


def test_an_unknown_address_is_a_problem_too(alice: APIClient) -> None:
    problem(alice.get("/api/v1/nothing"), 404, "not_found")
    problem(alice.post("/api/v1/plans/../../etc"), 404, "not_found")
    problem(APIClient().get("/api/v1/"), 404, "not_found")


def test_a_method_that_is_not_there_is_405(alice: APIClient) -> None:
    answer = alice.delete("/api/v1/plans")

    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer["Allow"]
    # Other parameters would not help.
    problem(alice.delete("/api/v1/plans?nonsense=1"), 405, "method_not_allowed")
    problem(alice.generic("TRACE", "/api/v1/events?format=events"), 405, "method_not_allowed")
    problem(APIClient().delete("/api/v1/plans"), 401, "not_authenticated")


def test_errors_are_json_whatever_was_asked_for(alice: APIClient) -> None:
    problem(alice.get("/api/v1/plans", HTTP_ACCEPT="text/html"), 406, "not_acceptable")


@pytest.mark.parametrize(
    "query",
    [
        "page=-1",
        "page_size=0",
        "page_size=-5",
        "page_size=201",
        "page_size=1e9",
        "page_size=99999999999999999999",
        "page_size=²",
        "cursor=nonsense",
        "cursor=cD0lMDA%3D",
        "cursor=cD1hYmM%3D",
        "cursor=cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
        "cursor=bz0tMQ%3D%3D",
        "ordering=password",
        "user__password__startswith=a",
        "created_by__password=a",
    ],
)
@pytest.mark.parametrize("route", ["plans", "catalog", "knowledge-bases", "conversations"])
def test_a_parameter_that_makes_no_sense_is_never_an_error_of_ours(
    alice: APIClient, engines: Engines, route: str, query: str
) -> None:
    answer = alice.get(f"/api/v1/{route}?{query}")

    if answer.status_code == 200:
        assert query.startswith("cursor=")
        assert set(answer.json()) == {"next", "previous", "results"}
    else:
        problem(answer, 400, "invalid_request")


def test_a_format_that_we_do_not_write_is_404(alice: APIClient) -> None:
    problem(alice.get("/api/v1/plans?format=api"), 404, "not_found")


def test_a_failure_of_ours_tells_nothing_but_its_code(
    operator: APIClient, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(view: HostViews) -> QuerySet[Any]:
        raise RuntimeError("the database password is swordfish")

    monkeypatch.setattr(HostViews, "get_queryset", fail)

    body = problem(operator.get("/api/v1/hosts"), 500, "internal_error")

    assert "swordfish" not in json.dumps(body)
