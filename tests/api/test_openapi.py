from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.models import KnowledgeBase
from migrations_app.api.problems import PROBLEM_TYPE
from migrations_app.models import Plan
from tests.api.roles import Engines, People, client_of

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return schema


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def test_the_description_is_valid_and_without_a_warning() -> None:
    out = StringIO()

    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)

    assert "openapi: 3" in out.getvalue()


def test_every_error_is_described_as_a_problem(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        statuses = {"400", "401", "403", "404", "429", "503"}
        assert statuses <= set(operation["responses"]), (path, method)
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == [PROBLEM_TYPE], (path, method, status)


def test_every_object_is_closed(document: dict[str, Any]) -> None:
    names = [
        name
        for name, schema in document["components"]["schemas"].items()
        if "properties" in schema
        and not name.startswith("Paginated")
        and schema.get("additionalProperties") is not False
    ]

    assert names == []


def test_what_starts_work_takes_a_key_and_names_its_plan(document: dict[str, Any]) -> None:
    starting = {"execute", "cancel", "roll-back", "retry", "abandon", "downloads", "plans"}
    described = {
        path.rsplit("/", 1)[1]: operation
        for path, method, operation in operations(document)
        if method == "post" and path.rsplit("/", 1)[1] in starting
    }

    assert set(described) == starting
    for operation in described.values():
        headers = {p["name"] for p in operation["parameters"] if p["in"] == "header"}
        assert "Idempotency-Key" in headers
        success = next(r for status, r in operation["responses"].items() if status < "300")
        assert "Location" in success["headers"]
        assert {"409", "422"} <= set(operation["responses"])


def test_preferences_are_changed_on_a_version(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/v1/preferences"]["patch"]

    assert "If-Match" in {p["name"] for p in operation["parameters"]}
    assert {"412", "428"} <= set(operation["responses"])
    assert "ETag" in operation["responses"]["200"]["headers"]


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=30),
    st.sampled_from(["current", "qwen-4b", "llama-8b", "\x00", "../..", "' OR 1=1", "٣"]),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.text(max_size=8), SCALARS, max_size=3),
)


WRITES = [
    ("/api/v1/plans", "post"),
    ("/api/v1/downloads", "post"),
    ("/api/v1/catalog", "post"),
    ("/api/v1/knowledge-bases", "post"),
    ("/api/v1/conversations", "post"),
    ("/api/v1/preferences", "patch"),
    ("/api/v1/search", "post"),
    ("/api/v1/tokens", "post"),
]


@pytest.mark.parametrize(("path", "method"), WRITES)
@settings(
    max_examples=10,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(whole=VALUES, number=st.integers(0, 40), value=VALUES)
def test_no_body_makes_an_error_of_ours(
    document: dict[str, Any],
    people: People,
    engines: Engines,
    path: str,
    method: str,
    whole: Any,
    number: int,
    value: Any,
) -> None:
    operation = document["paths"][path][method]
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    fields = list(document["components"]["schemas"][name.rsplit("/", 1)[1]]["properties"])
    field = fields[number % len(fields)]
    send = getattr(client_of(people.administrator), method)

    for body in (whole, {field: value}, dict.fromkeys(fields, value)):
        answer = send(path, body, format="json", HTTP_IF_MATCH='"1"')

        assert answer.status_code < 500 or answer.status_code == 503, answer.content
        assert str(answer.status_code) in operation["responses"]
        if answer.status_code >= 400:
            assert answer["Content-Type"] == PROBLEM_TYPE


def test_a_fuzzed_body_that_was_refused_left_nothing(people: People, engines: Engines) -> None:
    refused: list[Any] = [{"to_engine": 1}, {"name": []}, [], "x"]
    for body in refused:
        client_of(people.administrator).post("/api/v1/plans", body, format="json")
        client_of(people.administrator).post("/api/v1/knowledge-bases", body, format="json")

    assert not Plan.objects.exists()
    assert not KnowledgeBase.objects.exists()
