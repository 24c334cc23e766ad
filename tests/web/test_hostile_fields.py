"""Every field of every operation with what breaks programs: refused, never an error of ours.

The cases are made from the OpenAPI document, so a new field is tried by being described.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from engines.models import Conversation, Document, KnowledgeBase
from migrations_app.api.problems import PROBLEM_TYPE
from migrations_app.api.views import events
from tests.api.roles import Engines, People, client_of, make_plan, problem, use_engine
from tests.api.test_openapi import document, operations

pytestmark = pytest.mark.attack

__all__ = ["document"]

SEED = 20_261_128
QUICK_CASES = 250
TEXTS = {"nul": "a\x00b", "half": "a\ud800b", "long": "x" * 100_000}
OTHERS: dict[str, Any] = {"list": [{}], "object": {"a": []}, "number": 10**30, "none": None}


def schema_of(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = document["components"]["schemas"][node["$ref"].rsplit("/", 1)[1]]
    return node


def sample(document: dict[str, Any], node: dict[str, Any]) -> Any:
    """A value that fits a description, so that only one field of a body is hostile."""
    node = schema_of(document, node)
    for many in ("allOf", "oneOf", "anyOf"):
        if many in node:
            return sample(document, node[many][0])
    if "enum" in node:
        return node["enum"][0]
    kind = node.get("type")
    if kind == "object":
        return {name: sample(document, part) for name, part in node.get("properties", {}).items()}
    if kind == "array":
        return [sample(document, node["items"])]
    return {"integer": 1, "number": 1.0, "boolean": True}.get(str(kind), "abc")


def hostile_bodies(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[Any]:
    """(name, body) with one field of the described body replaced at a time."""
    content = operation.get("requestBody", {}).get("content", {})
    described = content.get("application/json")
    if described is None:
        return
    whole = sample(document, described["schema"])
    if not isinstance(whole, dict):
        return
    for field in whole:
        for name, value in {**TEXTS, **OTHERS}.items():
            yield f"{field}={name}", {**whole, field: value}
        for name, value in TEXTS.items():
            yield f"{field}=[{name}]", {**whole, field: [value]}
            yield f"{field}={{{name}}}", {**whole, field: {value: value}}


@pytest.fixture(autouse=True)
def streams_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold no place, and leave the connection of the test's transaction open."""
    monkeypatch.setattr(events, "close_old_connections", lambda: None)
    monkeypatch.setattr(events, "hold", lambda *_: None)


@pytest.fixture
def addresses(people: People, engines: Engines) -> dict[str, Any]:
    """Real ids of the administrator's own things, so that bodies are looked at."""
    owner = people.administrator
    use_engine(owner, engines.old)
    base = KnowledgeBase.objects.create(owner=owner, name="Notes")
    text = Document.objects.create(base=base, title="A", text="text", sha256="0" * 64)
    conversation = Conversation.objects.create(user=owner, title="A")
    plan = make_plan(owner, engines)
    return {
        "plans": plan.pk,
        "documents": text.pk,
        "knowledge-bases": base.pk,
        "base_pk": base.pk,
        "conversations": conversation.pk,
        "conversation_pk": conversation.pk,
        "model_id": "llama-8b",
        "engine": "llama-8b",
        "family": "llama",
        "name": "gpu-1",
    }


def filled(path: str, known: dict[str, Any]) -> str:
    parts = path.split("/")
    for number, part in enumerate(parts):
        if part.startswith("{"):
            name = part.strip("{}")
            parts[number] = str(known.get(name) or known.get(parts[number - 1], 1))
    return "/".join(parts)


def send(client: APIClient, method: str, path: str, body: Any) -> Any:
    """As a client could: JSON's escapes say what UTF-8 cannot."""
    text, kind = json.dumps(body), "application/json"
    return client.generic(method.upper(), path, text, kind, headers={"If-Match": "*"})


def check(answer: Any, case: str) -> None:
    if answer.streaming:
        assert answer.status_code == 200, case
        return
    assert answer.status_code < 500 or answer.status_code == 503, (case, answer.content[:500])
    if answer.status_code >= 400:
        assert answer["Content-Type"] == PROBLEM_TYPE, case
        assert len(answer.json()["detail"]) < 1_000, case


def cases(document: dict[str, Any]) -> list[tuple[str, str, str, Any]]:
    return [
        (path, method, name, body)
        for path, method, operation in operations(document)
        for name, body in hostile_bodies(document, operation)
    ]


def send_all(
    client: APIClient, known: dict[str, Any], some: list[tuple[str, str, str, Any]]
) -> None:
    for path, method, name, body in some:
        check(send(client, method, filled(path, known), body), f"{method} {path} {name}")


def test_a_part_of_all_hostile_fields_is_refused(
    document: dict[str, Any], people: People, addresses: dict[str, Any]
) -> None:
    some = Random(SEED).sample(cases(document), QUICK_CASES)  # noqa: S311 - repeatable on purpose

    send_all(client_of(people.administrator), addresses, some)


# What opens a stream gives its database connection back, which would end a test's transaction.
@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_all_hostile_fields_are_refused(
    document: dict[str, Any], people: People, addresses: dict[str, Any]
) -> None:
    everything = cases(document)
    assert len(everything) > 700

    send_all(client_of(people.administrator), addresses, everything)


@pytest.mark.parametrize(
    "value", ["\x00", "x" * 100_000, "a&a=b", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_every_parameter_of_an_address_is_bounded(
    document: dict[str, Any], people: People, addresses: dict[str, Any], value: Any
) -> None:
    client = client_of(people.administrator)
    for path, method, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query":
                name = parameter["name"]
                answer = getattr(client, method)(filled(path, addresses), {name: value})
                check(answer, f"{method} {path} ?{name}")


@pytest.mark.parametrize("signed_in", [True, False])
def test_a_thousand_parameters_are_refused(people: People, *, signed_in: bool) -> None:
    client = client_of(people.alice if signed_in else None)
    many = "&".join(f"a{number}=1" for number in range(1_200))

    for path in ("/api/v1/plans", "/api/v1/me", "/api/schema/", "/api/v1/tokens"):
        answer = client.get(f"{path}?{many}")
        assert answer.status_code in (400, 401), path
        assert answer["Content-Type"] == PROBLEM_TYPE


def test_a_thousand_fields_of_a_form_are_refused(people: People) -> None:
    base = KnowledgeBase.objects.create(owner=people.alice, name="Notes")
    fields = {f"a{number}": "1" for number in range(1_200)}

    for path in (f"/api/v1/knowledge-bases/{base.pk}/documents", "/api/v1/adapters"):
        problem(client_of(people.alice).post(path, fields, format="multipart"), 400, "parse_error")
    assert not Document.objects.exists()


def test_a_nul_in_a_form_is_refused_by_its_field(people: People) -> None:
    base = KnowledgeBase.objects.create(owner=people.alice, name="Notes")
    form = {"title": "a\x00b", "file": SimpleUploadedFile("a.txt", b"text")}

    address = f"/api/v1/knowledge-bases/{base.pk}/documents"
    answer = client_of(people.alice).post(address, form, format="multipart")

    assert "title.0" in problem(answer, 400, "invalid_request")["errors"]
    assert not Document.objects.exists()


def test_half_a_character_is_refused_by_its_field(people: People) -> None:
    body = {"name": "a", "group": "b\ud800"}

    answer = send(client_of(people.administrator), "post", "/api/v1/knowledge-bases", body)

    assert list(problem(answer, 400, "invalid_request")["errors"]) == ["group"]
    assert not KnowledgeBase.objects.exists()
