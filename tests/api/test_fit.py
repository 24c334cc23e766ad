"""What the API says about fit agrees with the estimate, reads each header once and hides what it must."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from deploy.demo.hub.server import HubServer
from engines.fit.memory import PROMPT_BATCH, Load, estimate
from engines.fit.qwen3 import qwen3_model
from engines.models import (
    CatalogModel,
    CopyStatus,
    Host,
    HostStatus,
    ModelCopy,
    ModelRevision,
)
from engines.services.catalog.resolving import resolve_model
from engines.specs import ANSWERS_AT_ONCE
from migrations_app.plans.planning import Options, plan_migration
from tests.api.roles import GIB, Engines, People, problem, use_engine
from tests.fit.shapes import Dense

SMALL = Dense("llama", 2, 256, 512, 4, 2, 1000, head=64, context=4096)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    folder = tmp_path / "org" / "qwen-4b"
    folder.mkdir(parents=True)
    SMALL.write(folder).rename(folder / "qwen-4b.gguf")
    with HubServer(tmp_path) as server:
        yield server


@pytest.fixture
def published(engines: Engines, hub: HubServer) -> CatalogModel:
    """The catalog's Qwen at a Hub that is there, not asked yet."""
    model = engines.new
    model.hub_endpoint, model.current_revision = hub.endpoint, None
    model.save()
    return model


def with_shape(model: CatalogModel, name: str) -> None:
    shape = qwen3_model(name).shape()
    ModelRevision.objects.filter(model=model).update(shape=shape.as_dict())


def test_a_model_is_judged_without_being_downloaded(
    alice: APIClient, published: CatalogModel, hub: HubServer
) -> None:
    answer = alice.get("/api/v1/catalog/qwen-4b/fit").json()

    assert (answer["model_id"], answer["host"]) == ("qwen-4b", "gpu-1")
    assert answer["load"] == {"context_length": 4096, "parallel": 1, "cache_type": "f16"}
    assert answer["fit"]["needs"]["kv_cache"] == 2 * 4096 * 2 * 2 * 64 * 2
    assert (answer["fit"]["fits"], answer["fit"]["where"]) == (True, "memory")
    assert answer["longest_context"] == 4096
    assert [entry.method for entry in hub.log] == ["HEAD", "GET"]


def test_a_header_is_read_once(alice: APIClient, published: CatalogModel, hub: HubServer) -> None:
    first = alice.get("/api/v1/catalog/qwen-4b/fit?context_length=512").json()
    second = alice.get("/api/v1/catalog/qwen-4b/fit?context_length=512&parallel=2").json()

    cache = first["fit"]["needs"]["kv_cache"]
    assert second["fit"]["needs"]["kv_cache"] == 2 * cache
    assert len(hub.log) == 2


def test_a_quantised_cache_is_asked_for_by_name(alice: APIClient, published: CatalogModel) -> None:
    plain, small = (
        alice.get(f"/api/v1/catalog/qwen-4b/fit?cache_type={kind}").json()
        for kind in ("f16", "q4_0")
    )

    assert small["fit"]["needs"]["kv_cache"] * 32 == plain["fit"]["needs"]["kv_cache"] * 9


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("context_length=0", "context_length"),
        ("context_length=many", "context_length"),
        ("parallel=257", "parallel"),
        ("cache_type=q3", "cache_type"),
        ("host=Not%20A%20Host", "host"),
        ("model=x", "model"),
    ],
)
def test_a_wrong_question_is_refused_by_field(
    alice: APIClient, engines: Engines, query: str, field: str
) -> None:
    for address in ("/api/v1/catalog/qwen-4b/fit", "/api/v1/recommend"):
        answer = problem(alice.get(f"{address}?{query}"), 400, "invalid_request")
        assert list(answer["errors"]) == [field]


def test_what_a_person_may_not_see_is_404(alice: APIClient, engines: Engines) -> None:
    for model_id in ("draft-1b", "reserved-8b", "nothing"):
        problem(alice.get(f"/api/v1/catalog/{model_id}/fit"), 404, "not_found")


def test_hosts_are_named_by_the_staff_only(
    alice: APIClient, operator: APIClient, engines: Engines
) -> None:
    with_shape(engines.new, "qwen3-4b")
    Host.objects.create(name="small-1", status=HostStatus.ACTIVE, memory_bytes=2 * GIB)
    address = "/api/v1/catalog/qwen-4b/fit"

    problem(alice.get(f"{address}?host=small-1"), 403, "permission_denied")
    problem(operator.get(f"{address}?host=nowhere"), 404, "not_found")
    answer = operator.get(f"{address}?host=small-1").json()
    assert (answer["host"], answer["fit"]["fits"], answer["fit"]["where"]) == (
        "small-1",
        False,
        "nowhere",
    )
    assert answer["longest_context"] == 0


def test_without_a_host_there_is_no_answer(alice: APIClient, engines: Engines) -> None:
    Host.objects.all().delete()

    problem(alice.get("/api/v1/recommend"), 503, "host_unavailable")


def test_a_runtime_that_places_models_itself_is_not_judged(
    alice: APIClient, engines: Engines
) -> None:
    CatalogModel.objects.filter(model_id="qwen-4b").update(runtime="openai")

    problem(alice.get("/api/v1/catalog/qwen-4b/fit"), 400, "invalid_request")


def test_a_file_of_a_host_that_nobody_has_read_is_not_looked_for_at_a_hub(
    alice: APIClient, published: CatalogModel, hub: HubServer
) -> None:
    published.huggingface_repo, published.sha256 = "", "a" * 64
    published.save()

    for question in ("", "?context_length=1"):
        refused = problem(
            alice.get(f"/api/v1/catalog/qwen-4b/fit{question}"), 400, "invalid_request"
        )
        assert "names no repository" in refused["detail"]
    assert hub.log == []


def test_recommended_models_come_first_and_others_say_why(
    alice: APIClient, engines: Engines
) -> None:
    with_shape(engines.new, "qwen3-4b")
    with_shape(engines.old, "qwen3-235b-a22b")

    answer = alice.get("/api/v1/recommend?context_length=4096").json()
    assert answer["host"] == "gpu-1"
    assert [(m["model_id"], m["recommended"]) for m in answer["models"]] == [
        ("qwen-4b", True),
        ("llama-8b", False),
    ]
    assert "this host has 57.6 GiB of memory" in answer["models"][1]["reason"]
    assert answer["unread"] == []


def test_a_full_disk_is_said_unless_the_file_is_there(alice: APIClient, engines: Engines) -> None:
    with_shape(engines.new, "qwen3-4b")
    Host.objects.update(disk_free_bytes=GIB)

    (fetched,) = alice.get("/api/v1/recommend").json()["models"]
    ModelCopy.objects.create(
        revision=engines.new.revisions.get(),
        host=engines.host,
        path="/models/qwen.gguf",
        checksum="b" * 64,
        status=CopyStatus.DOWNLOADED,
    )
    (stored,) = alice.get("/api/v1/recommend").json()["models"]

    assert [fetched["recommended"], stored["recommended"]] == [False, True]
    assert fetched["reason"].endswith("Its file has 2.3 GiB and the disk 1.0 GiB free.")


def test_models_nobody_asked_about_are_named_not_fetched(
    alice: APIClient, published: CatalogModel, hub: HubServer
) -> None:
    before = alice.get("/api/v1/recommend").json()
    alice.get("/api/v1/catalog/qwen-4b/fit")
    after = alice.get("/api/v1/recommend").json()

    assert (before["models"], before["unread"]) == ([], ["llama-8b", "qwen-4b"])
    assert [model["model_id"] for model in after["models"]] == ["qwen-4b"]
    assert after["unread"] == ["llama-8b"]


def test_a_host_with_a_gpu_is_chosen_before_one_with_more_memory(
    alice: APIClient, engines: Engines
) -> None:
    with_shape(engines.new, "qwen3-4b")
    Host.objects.create(
        name="gpu-2",
        status=HostStatus.ACTIVE,
        memory_bytes=16 * GIB,
        gpus=["A", "A"],
        vram_bytes=16 * GIB,
    )

    answer = alice.get("/api/v1/catalog/qwen-4b/fit").json()
    assert (answer["host"], answer["fit"]["where"]) == ("gpu-2", "gpu")


def test_resolving_a_model_reads_its_shape(published: CatalogModel) -> None:
    revision = resolve_model(published)

    assert ModelRevision.objects.get(pk=revision.pk).shape["architecture"] == "llama"


def test_a_header_that_cannot_be_read_does_not_stop_resolving(
    published: CatalogModel, tmp_path: Path
) -> None:
    (tmp_path / "org" / "qwen-4b" / "qwen-4b.gguf").write_bytes(b"no model")

    revision = resolve_model(published)
    assert (revision.file_size, revision.shape) == (8, {})


def test_a_preview_says_whether_both_engines_fit_together(people: People, engines: Engines) -> None:
    with_shape(engines.old, "qwen3-8b")
    with_shape(engines.new, "qwen3-4b")
    use_engine(people.alice, engines.old)
    load = Load(32_768, parallel=ANSWERS_AT_ONCE, batch=PROMPT_BATCH, shared=True)
    both = sum(estimate(qwen3_model(name).shape(), load).total for name in ("qwen3-8b", "qwen3-4b"))
    guessed = int(1000 * 1.2)

    def preview() -> dict[str, Any]:
        plan = plan_migration(people.alice, "current", "qwen-4b", Options(), actor=None)
        return dict(plan.preview)

    fitting = preview()
    Host.objects.update(memory_bytes=14 * GIB)
    tight = preview()
    Host.objects.update(memory_bytes=0)
    unknown = preview()

    assert fitting["memory_needed_bytes"] == both + guessed
    assert [fitting["fits_together"], tight["fits_together"], unknown["fits_together"]] == [
        True,
        False,
        None,
    ]
    rows = [(row["model_id"], row["read_from_header"]) for row in tight["engines_in_memory"]]
    assert rows == [("llama-8b", True), ("qwen-4b", True), ("minilm", False)]
    (warning,) = [w for w in tight["warnings"] if "together" in w]
    assert warning.endswith("the host has 14.0 GiB and 0.0 GiB on GPUs.")
    assert not [w for w in fitting["warnings"] if "together" in w]
