from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from engines.models import (
    EnginePreference,
    LoraAdapter,
    PreferenceSnapshot,
    PromptTemplate,
    UserPrompts,
)
from tests.api.roles import Engines, People, problem, use_engine

PREFERENCES = "/api/v1/preferences"


def test_the_preference_is_the_seeds_dictionary_with_its_version(
    alice: APIClient, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)

    answer = alice.get(PREFERENCES)

    assert answer["ETag"] == '"1"'
    assert answer.json() == {
        "version": 1,
        "engine_upgrade": {
            "active_engine_id": "llama-8b",
            "engine_model_name": "LLAMA-8B",
            "engine_family": "llama",
            "last_upgrade": None,
            "local_model_path": None,
        },
        "effective_engine_id": "llama-8b",
        "prompt_family": "llama",
        "is_offered": True,
    }


def test_an_engine_is_chosen_on_the_version_that_was_read(
    alice: APIClient, people: People, engines: Engines
) -> None:
    etag = alice.get(PREFERENCES)["ETag"]

    answer = alice.patch(
        PREFERENCES, {"active_engine_id": "qwen-4b"}, format="json", HTTP_IF_MATCH=etag
    )

    assert answer.status_code == 200
    assert (answer["ETag"], answer.json()["effective_engine_id"]) == ('"2"', "qwen-4b")
    preference = EnginePreference.objects.get()
    assert (preference.engine, preference.revision) == (
        engines.new,
        engines.new.current_revision,
    )
    assert PreferenceSnapshot.objects.get().version == 1


def test_without_if_match_it_is_428_and_with_a_stale_one_412(
    alice: APIClient, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    change = {"active_engine_id": "qwen-4b"}

    problem(alice.patch(PREFERENCES, change, format="json"), 428, "precondition_required")
    for stale in ('"0"', '"2"', "1", 'W/"1"', "nonsense"):
        answer = alice.patch(PREFERENCES, change, format="json", HTTP_IF_MATCH=stale)
        problem(answer, 412, "precondition_failed")

    assert EnginePreference.objects.get().engine == engines.old
    assert not PreferenceSnapshot.objects.exists()


@pytest.mark.parametrize(
    ("engine", "status", "code"),
    [
        ("draft-1b", 404, "not_found"),
        ("reserved-8b", 404, "not_found"),
        ("none", 404, "not_found"),
        ("minilm", 400, "invalid_request"),
        (None, 400, "invalid_request"),
    ],
)
def test_an_engine_one_may_not_use_is_refused(
    alice: APIClient, people: People, engines: Engines, engine: str | None, status: int, code: str
) -> None:
    answer = alice.patch(
        PREFERENCES, {"active_engine_id": engine}, format="json", HTTP_IF_MATCH='"1"'
    )

    problem(answer, status, code)
    assert not EnginePreference.objects.exclude(engine=None).exists()


def test_the_rest_of_the_settings_cannot_be_written(alice: APIClient, engines: Engines) -> None:
    answer = alice.patch(
        PREFERENCES, {"local_model_path": "/etc/passwd"}, format="json", HTTP_IF_MATCH='"1"'
    )

    assert "local_model_path" in problem(answer, 400, "invalid_request")["errors"]


def test_with_an_adapter_left_behind_choosing_is_409_and_asks_for_a_plan(
    alice: APIClient, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    assert engines.old.current_revision is not None
    LoraAdapter.objects.create(
        user=people.alice,
        name="style",
        base_revision=engines.old.current_revision,
        artifact_key="adapters/aa/x",
        sha256="a" * 64,
        file_size=1,
    )

    answer = alice.patch(
        PREFERENCES, {"active_engine_id": "qwen-4b"}, format="json", HTTP_IF_MATCH='"1"'
    )

    assert "migration plan" in problem(answer, 409, "conflict")["detail"]


def test_prompts_are_edited_for_oneself_and_an_edit_is_taken_back(
    alice: APIClient, bob: APIClient, people: People
) -> None:
    PromptTemplate.objects.create(family="llama", system_prompt="Be helpful.")
    etag = alice.get("/api/v1/prompts/llama")["ETag"]

    edited = alice.patch(
        "/api/v1/prompts/llama", {"system_prompt": "Be brief."}, format="json", HTTP_IF_MATCH=etag
    )

    assert edited.json()["system_prompt"] == "Be brief."
    assert bob.get("/api/v1/prompts/llama").json()["system_prompt"] == "Be helpful."
    stale = alice.patch(
        "/api/v1/prompts/llama", {"system_prompt": "x"}, format="json", HTTP_IF_MATCH=etag
    )
    problem(stale, 412, "precondition_failed")
    back = alice.patch(
        "/api/v1/prompts/llama",
        {"system_prompt": None},
        format="json",
        HTTP_IF_MATCH=edited["ETag"],
    )
    assert back.json()["system_prompt"] == "Be helpful."
    assert [p["family"] for p in alice.get("/api/v1/prompts").json()] == ["llama"]


def test_prompts_of_a_family_nobody_knows_are_404(alice: APIClient, engines: Engines) -> None:
    problem(alice.get("/api/v1/prompts/martian"), 404, "not_found")
    answer = alice.patch(
        "/api/v1/prompts/martian", {"system_prompt": "x"}, format="json", HTTP_IF_MATCH="*"
    )
    problem(answer, 404, "not_found")
    assert not UserPrompts.objects.exists()


def test_an_adapter_is_uploaded_listed_and_seen_by_its_owner_alone(
    alice: APIClient, bob: APIClient, engines: Engines, tiny_lora: Path
) -> None:
    file = SimpleUploadedFile("../../style.gguf", tiny_lora.read_bytes())

    answer = alice.post(
        "/api/v1/adapters", {"name": "style", "base_model": "llama-8b", "file": file}
    )

    assert answer.status_code == 201, answer.content
    adapter = LoraAdapter.objects.get()
    assert answer["Location"] == f"/api/v1/adapters/{adapter.pk}"
    shown = alice.get(answer["Location"]).json()
    assert (shown["name"], shown["status"], shown["training_stats"]) == ("style", "active", {})
    assert bob.get("/api/v1/adapters").json()["results"] == []
    problem(bob.get(answer["Location"]), 404, "not_found")


def test_a_taken_name_is_409(alice: APIClient, engines: Engines, tiny_lora: Path) -> None:
    answers = []
    for _ in range(2):
        file = SimpleUploadedFile("style.gguf", tiny_lora.read_bytes())
        fields = {"name": "style", "base_model": "llama-8b", "file": file}
        answers.append(alice.post("/api/v1/adapters", fields))

    problem(answers[1], 409, "conflict")
    assert LoraAdapter.objects.count() == 1


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"MZ" + b"\x00" * 200, b"GGUF\x63\x00\x00\x00" + b"\xff" * 100]
)
def test_a_file_that_is_no_adapter_is_refused(
    alice: APIClient, engines: Engines, content: bytes
) -> None:
    file = SimpleUploadedFile("style.gguf", content)

    answer = alice.post(
        "/api/v1/adapters", {"name": "style", "base_model": "llama-8b", "file": file}
    )

    assert problem(answer, 400, answer.json()["code"])["code"] in (
        "unsafe_model_file",
        "invalid_request",
    )
    assert not LoraAdapter.objects.exists()


def test_a_whole_model_is_no_adapter(alice: APIClient, engines: Engines, tiny_llama: Path) -> None:
    file = SimpleUploadedFile("style.gguf", tiny_llama.read_bytes())

    answer = alice.post(
        "/api/v1/adapters", {"name": "style", "base_model": "llama-8b", "file": file}
    )

    assert "not a LoRA adapter" in problem(answer, 400, "invalid_request")["detail"]
    assert not LoraAdapter.objects.exists()
