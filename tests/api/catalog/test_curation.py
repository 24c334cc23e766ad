"""Catalog files, deleted entries, prompts of families, usage and quotas over REST."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from engines.files.artifacts import ArtifactStore
from engines.models import (
    AdapterStatus,
    CatalogModel,
    CopyStatus,
    LoraAdapter,
    ModelCopy,
    PromptTemplate,
    TokenQuota,
    TokenUsage,
)
from engines.services.people.adapters import adapters_for
from engines.services.people.preferences import edit_prompts
from engines.services.people.usage import add_usage, today
from migrations_app.models import Plan
from migrations_app.states import PlanKind, PlanStatus
from tests.api.roles import Engines, People, client_of, make_model, problem, use_engine

FILE = "/api/v1/catalog-file"
TEMPLATES = "/api/v1/prompt-templates"
QUOTAS = "/api/v1/quotas"
USAGE = "/api/v1/usage"


@pytest.fixture
def administrator(people: People) -> APIClient:
    return client_of(people.administrator)


def test_what_is_exported_comes_in_again(curator: APIClient, engines: Engines) -> None:
    document = curator.get(FILE).json()
    CatalogModel.objects.filter(model_id="qwen-4b").update(display_name="changed")

    left = curator.post(FILE, document, format="json").json()
    assert list(left["left"]) == ["qwen-4b"]
    assert CatalogModel.objects.get(model_id="qwen-4b").display_name == "changed"

    written = curator.post(FILE, {**document, "overwrite": True}, format="json").json()
    assert written["updated"] == {"qwen-4b": "display_name"}
    assert curator.get(FILE).json()["models"] == document["models"]


def test_an_import_without_entries_is_the_starter_catalog(
    curator: APIClient, engines: Engines
) -> None:
    report = curator.post(FILE, {}, format="json").json()

    assert report["refused"] == {}
    assert CatalogModel.objects.filter(model_id__in=report["created"]).count() > 10


def test_a_bad_entry_is_reported_and_a_bad_file_refused(
    curator: APIClient, engines: Engines
) -> None:
    before = CatalogModel.objects.count()

    report = curator.post(FILE, {"models": {"bad": {"runtime": "x"}}}, format="json").json()
    assert list(report["refused"]) == ["bad"]
    strange: tuple[object, ...] = (7, "text", None, [[]])
    for models in strange:
        answer = curator.post(FILE, {"models": models}, format="json")
        assert answer.status_code in (200, 400)
        assert answer.status_code == 400 or list(answer.json()["refused"])
    assert CatalogModel.objects.count() == before


def test_an_entry_that_nothing_stands_on_is_deleted(curator: APIClient, engines: Engines) -> None:
    make_model("unused-1b")

    assert curator.delete("/api/v1/catalog/unused-1b").status_code == 204
    assert not CatalogModel.objects.filter(model_id="unused-1b").exists()


def test_an_entry_in_use_stays_and_the_sentence_says_why(
    curator: APIClient, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    before = set(CatalogModel.objects.values_list("model_id", "current_revision"))

    refused = problem(curator.delete(f"/api/v1/catalog/{engines.old.model_id}"), 409, "conflict")

    assert "1 person uses it" in refused["detail"]
    assert "Unpublish" in refused["detail"]
    assert set(CatalogModel.objects.values_list("model_id", "current_revision")) == before


@pytest.mark.parametrize(
    ("act", "kind"), [("verify", PlanKind.VERIFY), ("delete-files", PlanKind.DELETE)]
)
def test_copies_of_every_host_are_verified_or_deleted_by_plans(
    operator: APIClient, engines: Engines, act: str, kind: PlanKind
) -> None:
    address = f"/api/v1/catalog/{engines.new.model_id}"
    ModelCopy.objects.filter(revision__model=engines.new).delete()
    for each in ("verify", "delete-files", "cancel-download"):
        problem(operator.post(f"{address}/{each}"), 409, "conflict")
    assert not Plan.objects.exists()
    assert engines.new.current_revision is not None
    ModelCopy.objects.create(
        revision=engines.new.current_revision,
        host=engines.host,
        status=CopyStatus.DOWNLOADED,
        path="x",
        checksum="0" * 64,
        file_size=1,
        downloaded_at=timezone.now(),
        verified_at=timezone.now(),
    )

    assert operator.post(f"{address}/{act}").status_code == 202

    assert Plan.objects.get().kind == kind


def test_a_download_is_cancelled_on_every_host(operator: APIClient, engines: Engines) -> None:
    model = {"model_id": engines.new.model_id}
    operator.post("/api/v1/downloads", model, format="json")

    answer = operator.post(f"/api/v1/catalog/{engines.new.model_id}/cancel-download")

    assert answer.status_code == 202
    assert Plan.objects.get().status == PlanStatus.CANCELLED


def test_templates_are_written_by_curators_and_edits_of_people_stay(
    curator: APIClient, operator: APIClient, people: People
) -> None:
    written = {"system_prompt": "Be brief.\n", "reasoning_prompt": "", "chat_format": ""}
    edit_prompts(people.alice, "qwen", {"system_prompt": "Be long."})

    answer = curator.put(f"{TEMPLATES}/qwen", {"system_prompt": "Be brief.\n"}, format="json")

    assert answer.json() == {"family": "qwen", **written}
    assert operator.get(f"{TEMPLATES}/qwen").json() == {"family": "qwen", **written}
    seen = client_of(people.alice).get("/api/v1/prompts/qwen").json()
    assert seen["system_prompt"] == "Be long."
    problem(operator.put(f"{TEMPLATES}/qwen", {}, format="json"), 403, "permission_denied")
    problem(client_of(people.alice).get(TEMPLATES), 403, "permission_denied")
    assert PromptTemplate.objects.get().system_prompt == "Be brief.\n"
    assert curator.delete(f"{TEMPLATES}/qwen").status_code == 204


def test_usage_is_ones_own_and_an_operators_is_everybodys(
    alice: APIClient, operator: APIClient, people: People
) -> None:
    add_usage(people.alice.pk, 3, 4)
    add_usage(people.bob.pk, 5, 6)
    TokenUsage.objects.filter(user=people.bob).update(day=today() - timedelta(days=20))

    assert [row["person"] for row in alice.get(USAGE).json()["results"]] == ["alice"]
    assert [row["person"] for row in operator.get(USAGE).json()["results"]] == ["alice"]
    month = operator.get(f"{USAGE}?days=30").json()["results"]
    assert [row["person"] for row in month] == ["alice", "bob"]
    for days in ("0", "-1", "x", "99999999999999999999", "²"):
        problem(operator.get(USAGE, {"days": days}), 400, "invalid_request")


def test_quotas_are_set_by_administrators(
    administrator: APIClient, operator: APIClient, alice: APIClient
) -> None:
    def put(client: APIClient, who: str, tokens: int) -> Any:
        return client.put(f"{QUOTAS}/{who}", {"tokens_per_day": tokens}, format="json")

    assert put(administrator, "alice", 5).json() == {"person": "alice", "tokens_per_day": 5}
    assert put(administrator, "*", 9).json() == {"person": "*", "tokens_per_day": 9}
    problem(put(administrator, "nobody", 9), 404, "not_found")
    problem(put(administrator, "alice", -1), 400, "invalid_request")
    problem(put(operator, "alice", 7), 403, "permission_denied")
    problem(alice.get(QUOTAS), 403, "permission_denied")
    assert len(operator.get(QUOTAS).json()["results"]) == 2
    assert administrator.delete(f"{QUOTAS}/*").status_code == 204
    problem(administrator.delete(f"{QUOTAS}/*"), 404, "not_found")
    assert [str(quota) for quota in TokenQuota.objects.all()] == ["alice: 5 tokens a day"]


def test_an_adapter_is_switched_off_and_on_and_deleted_with_its_file(
    alice: APIClient,
    bob: APIClient,
    people: People,
    engines: Engines,
    django_capture_on_commit_callbacks: Any,
) -> None:
    store = ArtifactStore(settings.SAM_ARTIFACT_STORE)
    artifact = store.put_bytes(b"weights", kind="adapters")
    base = engines.old.current_revision
    assert base is not None
    adapters = [
        LoraAdapter.objects.create(
            user=user,
            name="mine",
            base_revision=base,
            artifact_key=artifact.key,
            sha256=artifact.sha256,
            file_size=artifact.size,
        )
        for user in (people.alice, people.bob)
    ]
    address = f"/api/v1/adapters/{adapters[0].pk}"

    assert alice.patch(address, {"enabled": False}, format="json").json()["status"] == "disabled"
    assert adapters_for(people.alice.pk, base.pk) == []
    assert alice.patch(address, {"enabled": True}, format="json").json()["status"] == "active"
    assert adapters_for(people.alice.pk, base.pk) == [adapters[0]]
    LoraAdapter.objects.filter(pk=adapters[0].pk).update(status=AdapterStatus.INVALIDATED)
    problem(alice.patch(address, {"enabled": True}, format="json"), 409, "conflict")
    assert LoraAdapter.objects.get(pk=adapters[0].pk).status == AdapterStatus.INVALIDATED

    problem(bob.delete(address), 404, "not_found")
    with django_capture_on_commit_callbacks(execute=True):
        assert alice.delete(address).status_code == 204
    assert store.exists(artifact.key), "Bob's adapter has the same file"
    with django_capture_on_commit_callbacks(execute=True):
        assert bob.delete(f"/api/v1/adapters/{adapters[1].pk}").status_code == 204
    assert not store.exists(artifact.key)
