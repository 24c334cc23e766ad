from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from io import StringIO
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engines.models import Conversation, Document, KnowledgeBase
from migrations_app.api.problems import PROBLEM_TYPE
from migrations_app.models import Plan
from tests.api.roles import Engines, People, client_of, make_plan, use_engine

METHODS = ("get", "post", "put", "patch", "delete")


@cache
def described() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return schema


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return described()


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
        statuses = {"400", "401", "403", "404", "429", "502", "503"}
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


def test_a_text_that_may_be_empty_fits_its_description(document: dict[str, Any]) -> None:
    """Its pattern often allows the empty text as well, which is no contradiction."""
    digest = document["components"]["schemas"]["CatalogModel"]["properties"]["sha256"]

    assert jsonschema.Draft202012Validator(digest).is_valid("")
    assert jsonschema.Draft202012Validator(digest).is_valid("a" * 64)
    assert not jsonschema.Draft202012Validator(digest).is_valid("z")


def test_what_starts_work_takes_a_key_and_names_its_plan(document: dict[str, Any]) -> None:
    starting = {"execute", "cancel", "roll-back", "retry", "abandon", "downloads", "plans"}
    described = {
        path.rsplit("/", 1)[1]: operation
        for path, method, operation in operations(document)
        if method == "post" and path.rsplit("/", 1)[1] in starting
    }

    assert set(described) == starting
    for operation in described.values():
        headers = {p["name"] for p in operation.get("parameters", []) if p["in"] == "header"}
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
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.sampled_from(["current", "qwen-4b", "llama-8b", "\x00", "../..", "' OR 1=1", "٣"]),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.text(max_size=8), SCALARS, max_size=3),
)


OPERATIONS = [(path, method) for path, method, _ in operations(described())]
READS = [one for one in OPERATIONS if one[1] == "get"]
WRITES = [one for one in OPERATIONS if one[1] != "get"]
FUZZ = settings(
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class World:
    """Real keys for the variables of an address, so that more is reached than 404."""

    people: People
    keys: dict[str, Any]


@pytest.fixture
def world(people: People, engines: Engines) -> World:
    use_engine(people.administrator, engines.old)
    base = KnowledgeBase.objects.create(owner=people.administrator, name="Notes")
    document = Document.objects.create(base=base, title="One", text="One.", sha256="0" * 64)
    conversation = Conversation.objects.create(user=people.administrator, title="One")
    return World(
        people,
        {
            "plans": make_plan(people.administrator, engines).pk,
            "knowledge-bases": base.pk,
            "documents": document.pk,
            "conversations": conversation.pk,
            "base_pk": base.pk,
            "conversation_pk": conversation.pk,
            "model_id": "llama-8b",
            "name": "gpu-1",
            "engine": "llama-8b",
            "family": "llama",
        },
    )


def filled(path: str, keys: dict[str, Any], strange: str | None) -> str:
    """Return the address with real keys, or with something strange for its last variable."""
    names = re.findall(r"{(\w+)}", path)
    noun = re.findall(r"([a-z-]+)/{id}", path)
    values = {name: keys.get(noun[0] if name == "id" else name, 1) for name in names}
    if names and strange is not None:
        values[names[-1]] = quote(strange, safe="")
    return path.format(**values)


def fields_of(document: dict[str, Any], operation: dict[str, Any], media_type: str) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {})
    if media_type not in content:
        return []
    name = content[media_type]["schema"]["$ref"].rsplit("/", 1)[1]
    return list(document["components"]["schemas"][name]["properties"])


def check_described(operation: dict[str, Any], answer: Any) -> None:
    assert answer.status_code < 500 or answer.status_code == 503, answer.content
    assert str(answer.status_code) in operation["responses"], answer.content
    if answer.status_code >= 400:
        assert answer["Content-Type"] == PROBLEM_TYPE


@pytest.mark.parametrize(("path", "method"), WRITES)
@FUZZ
@example(strange="\n", whole="\x00", number=0, value="\x00")
@example(strange=None, whole=[], number=1, value=["\x00"])
@given(
    strange=st.none() | st.text(max_size=12), whole=VALUES, number=st.integers(0, 40), value=VALUES
)
def test_no_body_and_no_address_makes_an_error_of_ours(
    world: World,
    path: str,
    method: str,
    strange: str | None,
    whole: Any,
    number: int,
    value: Any,
) -> None:
    document = described()
    operation = document["paths"][path][method]
    fields = fields_of(document, operation, "application/json")
    send = getattr(client_of(world.people.administrator), method)
    bodies = [whole]
    if fields:
        bodies += [{fields[number % len(fields)]: value}, dict.fromkeys(fields, value)]

    for body in bodies:
        answer = send(filled(path, world.keys, strange), body, format="json", HTTP_IF_MATCH='"1"')
        check_described(operation, answer)


@pytest.mark.parametrize(("path", "method"), READS)
@FUZZ
@example(strange="\n", number=0, value="\x00")
@given(strange=st.none() | st.text(max_size=12), number=st.integers(0, 40), value=SCALARS)
def test_no_parameter_makes_an_error_of_ours(
    world: World, path: str, method: str, strange: str | None, number: int, value: Any
) -> None:
    operation = described()["paths"][path][method]
    names = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
    chosen = names[number % len(names)] if names else "unknown"
    client = client_of(world.people.administrator)

    for query in ({chosen: str(value)}, dict.fromkeys(names, str(value))):
        check_described(operation, client.get(filled(path, world.keys, strange), query))


UPLOADS = [
    (path, method)
    for path, method, operation in operations(described())
    if fields_of(described(), operation, "multipart/form-data")
]


@pytest.mark.parametrize(("path", "method"), UPLOADS)
@FUZZ
@given(texts=st.lists(st.text(max_size=20), min_size=8, max_size=8), content=st.binary(max_size=40))
def test_no_form_makes_an_error_of_ours(
    world: World, path: str, method: str, texts: list[str], content: bytes
) -> None:
    document = described()
    operation = document["paths"][path][method]
    fields = fields_of(document, operation, "multipart/form-data")
    send = getattr(client_of(world.people.administrator), method)
    written = dict(zip(fields, texts, strict=False))
    files = {name: SimpleUploadedFile(f"x{number}", content) for number, name in enumerate(fields)}

    for form in (written, files, {**written, "file": SimpleUploadedFile("x", content)}):
        answer = send(filled(path, world.keys, None), form, format="multipart")
        check_described(operation, answer)


def test_a_fuzzed_body_that_was_refused_left_nothing(people: People, engines: Engines) -> None:
    refused: list[Any] = [{"to_engine": 1}, {"name": []}, [], "x"]
    for body in refused:
        client_of(people.administrator).post("/api/v1/plans", body, format="json")
        client_of(people.administrator).post("/api/v1/knowledge-bases", body, format="json")

    assert not Plan.objects.exists()
    assert not KnowledgeBase.objects.exists()
