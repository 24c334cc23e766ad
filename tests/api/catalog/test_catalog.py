from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from engines.models import CatalogModel, CopyStatus, ModelCopy
from tests.api.roles import Engines, People, client_of, make_unsafe_copy, problem

NEW_ENTRY = {
    "model_id": "gemma-2b-q4",
    "display_name": "Gemma 2B (Q4_K_M)",
    "model_family": "gemma",
    "huggingface_repo": "google/gemma-2b-gguf",
    "filename": "gemma-2b-q4.gguf",
    "tags": ["small"],
    "embedding_model": "minilm",
}


def names(answer: Any) -> list[str]:
    return [row["model_id"] for row in answer.json()["results"]]


def test_a_person_sees_published_models_that_are_for_everybody(
    alice: APIClient, engines: Engines
) -> None:
    assert names(alice.get("/api/v1/catalog")) == ["llama-8b", "minilm", "qwen-4b"]


def test_a_group_sees_what_is_reserved_for_it(
    alice: APIClient, people: People, engines: Engines
) -> None:
    problem(alice.get("/api/v1/catalog/reserved-8b"), 404, "not_found")

    people.alice.groups.add(Group.objects.get(name="research"))

    assert alice.get("/api/v1/catalog/reserved-8b").status_code == 200


@pytest.mark.parametrize("role", ["curator", "operator"])
def test_the_staff_see_everything(role: str, people: People, engines: Engines) -> None:
    answer = client_of(getattr(people, role)).get("/api/v1/catalog")

    assert names(answer) == ["draft-1b", "llama-8b", "minilm", "qwen-4b", "reserved-8b"]


def test_an_unpublished_model_is_404_to_a_person(alice: APIClient, engines: Engines) -> None:
    problem(alice.get("/api/v1/catalog/draft-1b"), 404, "not_found")
    problem(alice.get("/api/v1/catalog/draft-1b/status"), 404, "not_found")


def test_a_curator_adds_and_changes_an_entry(curator: APIClient, engines: Engines) -> None:
    created = curator.post("/api/v1/catalog", NEW_ENTRY, format="json")
    changed = curator.patch("/api/v1/catalog/gemma-2b-q4", {"published": False}, format="json")

    assert (created.status_code, changed.status_code) == (201, 200)
    # What is not known yet is said by every answer, one to a change of some fields too.
    assert created.json().keys() == changed.json().keys()
    assert (created.json()["current_commit"], changed.json()["current_commit"]) == (None, None)
    model = CatalogModel.objects.get(model_id="gemma-2b-q4")
    assert (model.embedding_model, model.tags, model.published) == (
        engines.embedder,
        ["small"],
        False,
    )


def test_a_person_may_not_write_the_catalog(alice: APIClient, engines: Engines) -> None:
    problem(alice.post("/api/v1/catalog", NEW_ENTRY, format="json"), 403, "permission_denied")
    answer = alice.patch("/api/v1/catalog/llama-8b", {"published": False}, format="json")
    problem(answer, 403, "permission_denied")

    assert CatalogModel.objects.count() == 5
    assert CatalogModel.objects.get(model_id="llama-8b").published


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model_id": "Big Letters"}, "model_id"),
        ({"model_id": "llama-8b"}, "model_id"),
        ({"filename": "../../etc/passwd"}, "filename"),
        ({"filename": "/etc/passwd"}, "filename"),
        ({"filename": "model\u202efugg.gguf"}, "filename"),
        ({"filename": "a\x00b.gguf"}, "filename"),
        ({"filename": "model.bin"}, "filename"),
        ({"filename": "model-00002-of-00003.gguf"}, "filename"),
        ({"filename": "mmproj-f16.gguf"}, "filename"),
        ({"huggingface_repo": "../x"}, "huggingface_repo"),
        ({"huggingface_repo": "no-slash"}, "huggingface_repo"),
        ({"sha256": "ABC"}, "sha256"),
        ({"file_size": -1}, "file_size"),
        ({"file_size": 2**63}, "file_size"),
        ({"context_length": 10**30}, "context_length"),
        ({"tags": "small"}, "tags"),
        ({"tags": ["x" * 65]}, "tags.0"),
        ({"embedding_model": "llama-8b"}, "embedding_model"),
        ({"hub_endpoint": "file:///etc"}, "hub_endpoint"),
        ({"role": "king"}, "role"),
        ({"secret": 1}, "secret"),
        ({"current_commit": "aa"}, "current_commit"),
    ],
)
def test_a_bad_entry_is_refused_by_field_and_nothing_is_written(
    curator: APIClient, engines: Engines, change: dict[str, Any], field: str
) -> None:
    answer = curator.post("/api/v1/catalog", {**NEW_ENTRY, **change}, format="json")

    assert list(problem(answer, 400, "invalid_request")["errors"]) == [field]
    assert CatalogModel.objects.count() == 5


def test_an_entry_keeps_its_id(curator: APIClient, engines: Engines) -> None:
    answer = curator.patch("/api/v1/catalog/llama-8b", {"model_id": "llama-9b"}, format="json")

    problem(answer, 400, "invalid_request")
    assert CatalogModel.objects.filter(model_id="llama-8b").exists()


def test_the_status_folds_the_hosts_and_shows_them_to_operators_only(
    alice: APIClient, operator: APIClient, engines: Engines
) -> None:
    assert engines.old.current_revision is not None
    before = alice.get("/api/v1/catalog/llama-8b/status").json()
    ModelCopy.objects.create(
        revision=engines.old.current_revision,
        host=engines.host,
        path="/models/x",
        checksum="c" * 64,
        status=CopyStatus.DOWNLOADED,
    )
    after = alice.get("/api/v1/catalog/llama-8b/status").json()

    assert (before["status"], after["status"]) == ("not_downloaded", "downloaded")
    assert (after["copies"], after["progress"]) == ([], None)
    shown = operator.get("/api/v1/catalog/llama-8b/status").json()["copies"]
    assert [(copy["host"], copy["status"]) for copy in shown] == [("gpu-1", "downloaded")]


def test_pages_follow_the_cursor_to_the_end(curator: APIClient, engines: Engines) -> None:
    seen, address = [], "/api/v1/catalog?page_size=2"
    while address:
        answer = curator.get(address)
        seen.append(names(answer))
        address = answer.json()["next"]

    assert seen == [["draft-1b", "llama-8b"], ["minilm", "qwen-4b"], ["reserved-8b"]]


@pytest.fixture
def unsafe_copy(engines: Engines) -> ModelCopy:
    return make_unsafe_copy(engines)


def test_an_operator_clears_the_mark_of_an_unsafe_file(
    operator: APIClient, unsafe_copy: ModelCopy
) -> None:
    address = "/api/v1/catalog/llama-8b/clear-unsafe"
    before = operator.get("/api/v1/catalog/llama-8b/status").json()

    problem(operator.post(address, {"host": "gpu-9"}, format="json"), 409, "conflict")
    answer = operator.post(address, {"host": "gpu-1"}, format="json")

    assert (before["status"], before["copies"][0]["error"]) == ("unsafe", "It crashed.")
    assert answer.status_code == 200
    assert answer.json()["status"] == "downloaded"
    unsafe_copy.refresh_from_db()
    assert (unsafe_copy.status, unsafe_copy.error) == (CopyStatus.DOWNLOADED, "")
    problem(operator.post(address, {}, format="json"), 409, "conflict")


def test_nobody_else_clears_it(
    alice: APIClient, curator: APIClient, unsafe_copy: ModelCopy
) -> None:
    for client in (alice, curator):
        answer = client.post("/api/v1/catalog/llama-8b/clear-unsafe", {}, format="json")
        problem(answer, 403, "permission_denied")

    unsafe_copy.refresh_from_db()
    assert unsafe_copy.status == CopyStatus.UNSAFE
