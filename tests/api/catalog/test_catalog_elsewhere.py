"""Catalog entries whose model is not a file of a Hub: on a server, or in a folder of the hosts."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from engines.models import CatalogModel
from engines.services.catalog.copies import engine_spec
from engines.services.catalog.exchange import ImportOptions, export_catalog, import_catalog
from engines.services.catalog.resolving import pinned_revision
from samproject.cli.errors import CommandError
from tests.api.roles import Engines, People, make_plan, problem, use_engine
from tests.sam_command import run_sam

SERVED = {
    "model_id": "qwen-served",
    "display_name": "Qwen on a server",
    "model_family": "qwen",
    "runtime": "openai",
    "endpoint": "http://gpu-9:8000/v1",
    "remote_name": "Qwen/Qwen3-32B",
    "context_length": 32768,
    "embedding_model": "minilm",
}
FOLDER = {
    "model_id": "smollm-folder",
    "display_name": "SmolLM",
    "model_family": "smollm",
    "runtime": "transformers",
    "folder": "smollm/main",
    "device": "cuda",
    "load_quantization": "4bit",
}
EMBEDS = {
    "model_id": "gte-folder",
    "display_name": "GTE",
    "model_family": "gte",
    "runtime": "openvino",
    "folder": "gte/base",
    "role": "embedding",
    "pooling": "cls",
}
SPLIT = {
    "model_id": "llama-70b",
    "display_name": "Llama 70B",
    "model_family": "llama",
    "huggingface_repo": "org/llama-70b",
    "filename": "llama-70b.gguf",
    "device": "CUDA0,CUDA1",
    "gpu_layers": 60,
    "split_mode": "row",
    "main_gpu": 1,
    "tensor_split": [3, 1],
    "use_flash_attention": False,
    "batch_invariant": True,
}


@pytest.mark.parametrize("entry", [SERVED, FOLDER, SPLIT])
def test_a_curator_adds_an_entry_and_the_engine_is_as_it_says(
    curator: APIClient, engines: Engines, entry: dict[str, Any]
) -> None:
    answer = curator.post("/api/v1/catalog", entry, format="json")

    assert answer.status_code == 201, answer.json()
    assert {name: answer.json()[name] for name in entry} == entry
    model = CatalogModel.objects.get(model_id=entry["model_id"])
    if entry is SPLIT:
        revision = engines.old.current_revision
        assert revision is not None
        revision.model = model
    else:
        revision = pinned_revision(model)
    spec = engine_spec(revision, "/models/m")
    assert (spec.runtime, spec.endpoint) == (model.runtime, model.endpoint)
    assert (spec.device, spec.gpu_layers, spec.split_mode) == (
        entry.get("device", "auto"),
        entry.get("gpu_layers", -1),
        entry.get("split_mode", "layer"),
    )
    assert (spec.main_gpu, spec.tensor_split) == (
        entry.get("main_gpu", 0),
        tuple(entry.get("tensor_split", ())),
    )
    assert spec.quantization == entry.get("load_quantization", "")
    assert spec.use_flash_attention is entry.get("use_flash_attention", True)
    assert spec.batch_invariant is entry.get("batch_invariant", False)


@pytest.mark.parametrize(
    ("entry", "change", "field", "sentence"),
    [
        (
            SERVED,
            {"runtime": "abacus"},
            "runtime",
            "known are llama_cpp, llama_server, ollama, openai, openvino, transf",
        ),
        (SERVED, {"endpoint": "ftp://gpu-9/v1"}, "endpoint", "must be like http://host:8000/v1"),
        (SERVED, {"endpoint": "http://ann:secret@gpu-9/v1"}, "endpoint", "without a user"),
        (SERVED, {"endpoint": "http://gpu-9/v1?key=secret"}, "endpoint", "a query"),
        (SERVED, {"endpoint": "http://gpu-9/v1 x"}, "endpoint", "no spaces"),
        (SERVED, {"endpoint": ""}, "endpoint", "named by endpoint and remote_name. Fill it in"),
        (SERVED, {"remote_name": ""}, "remote_name", "Fill it in"),
        (SERVED, {"remote_name": "Qwen\nx"}, "remote_name", "exactly as the server lists it"),
        (SERVED, {"folder": "qwen"}, "folder", "Leave this empty"),
        (SERVED, {"filename": "q.gguf"}, "filename", "Leave this empty"),
        (SERVED, {"device": "cuda"}, "device", "openai ignores this field"),
        (SERVED, {"pooling": "rank"}, "pooling", "known are mean, cls, last"),
        (FOLDER, {"folder": "../etc"}, "folder", "Use letters"),
        (FOLDER, {"folder": "/etc"}, "folder", "Use letters"),
        (FOLDER, {"device": "npu"}, "device", "device is one of auto, cpu, cuda, gpu"),
        (FOLDER, {"load_quantization": "3bit"}, "load_quantization", "not a valid choice"),
        (FOLDER, {"tensor_split": [1, 1]}, "tensor_split", "transformers ignores this field"),
        (SPLIT, {"endpoint": "http://gpu-9/v1"}, "endpoint", "Leave this empty"),
        (FOLDER, {"batch_invariant": True}, "batch_invariant", "transformers ignores this field"),
        (EMBEDS, {"role": "chat"}, "role", "only embed; choose that role"),
        (EMBEDS, {"pooling": "last"}, "pooling", "This runtime pools by cls or mean"),
        (EMBEDS, {"device": "cpu"}, "device", "openvino ignores this field"),
        (SPLIT, {"role": "embedding"}, "batch_invariant", "an embedder writes none"),
        (SPLIT, {"load_quantization": "4bit"}, "load_quantization", "ignores this field"),
        (SPLIT, {"filename": ""}, "filename", "huggingface_repo and filename. Fill it in"),
        (SPLIT, {"gpu_layers": -2}, "gpu_layers", "greater than or equal to -1"),
        (SPLIT, {"tensor_split": [-1, 2]}, "device", "shares of 0 or more"),
        (SPLIT, {"device": "cpu"}, "device", "cpu cannot have layers"),
        (SPLIT, {"main_gpu": 99}, "main_gpu", "less than or equal to 15"),
    ],
)
def test_what_does_not_go_together_is_refused_by_field_and_nothing_is_written(
    curator: APIClient,
    engines: Engines,
    entry: dict[str, Any],
    change: dict[str, Any],
    field: str,
    sentence: str,
) -> None:
    answer = curator.post("/api/v1/catalog", {**entry, **change}, format="json")

    errors = problem(answer, 400, "invalid_request")["errors"]
    assert list(errors) == [field]
    assert sentence in " ".join(errors[field])
    assert "secret" not in answer.content.decode()
    assert CatalogModel.objects.count() == 5


def test_an_embedder_on_a_server_says_how_long_a_text_may_be(
    curator: APIClient, engines: Engines
) -> None:
    change = {"role": "embedding", "embedding_model": None, "context_length": 0}

    answer = curator.post("/api/v1/catalog", {**SERVED, **change}, format="json")

    assert list(problem(answer, 400, "invalid_request")["errors"]) == ["context_length"]


def test_an_entry_in_use_keeps_what_it_names_and_may_move_to_another_address(
    curator: APIClient, engines: Engines
) -> None:
    curator.post("/api/v1/catalog", SERVED, format="json")
    address = "/api/v1/catalog/qwen-served"
    before = pinned_revision(CatalogModel.objects.get(model_id="qwen-served"))

    other = curator.patch(address, {"remote_name": "Qwen/Qwen3-4B"}, format="json")
    moved = curator.patch(address, {"endpoint": "https://gpu-8/v1/"}, format="json")

    assert list(problem(other, 400, "invalid_request")["errors"]) == ["remote_name"]
    assert moved.status_code == 200
    model = CatalogModel.objects.get(model_id="qwen-served")
    assert (model.endpoint, model.remote_name) == ("https://gpu-8/v1/", "Qwen/Qwen3-32B")
    assert pinned_revision(model) == before


def test_entries_go_out_and_in_again_and_bad_ones_are_told(
    curator: APIClient, engines: Engines
) -> None:
    for entry in (SERVED, FOLDER, SPLIT):
        curator.post("/api/v1/catalog", entry, format="json")
    exported = export_catalog()
    CatalogModel.objects.filter(model_id__in=["qwen-served", "smollm-folder", "llama-70b"]).delete()
    bad = {**SERVED, "model_id": "bad", "runtime": ["x"], "tensor_split": None, "gpu_layers": "x"}

    report = import_catalog(exported, ImportOptions())
    other = {**SERVED, "model_id": "b2", "remote_name": ""}
    refused = import_catalog({"models": [bad, other]}, ImportOptions())

    assert (len(report.created), len(report.unchanged), report.refused) == (3, 5, {})
    assert export_catalog()["models"] == exported["models"]
    assert list(refused.refused) == ["bad", "b2"]
    assert "a runtime's name, like llama_cpp" in refused.refused["bad"]
    assert CatalogModel.objects.count() == 8


def test_the_command_line_adds_an_entry_of_a_server_and_refuses_a_bad_one(engines: Engines) -> None:
    common = ["--name", "Served", "--family", "qwen", "--runtime", "openai", "--remote-name", "m"]
    run_sam("catalog", "add", "served", *common, "--endpoint", "http://gpu-9/v1")

    with pytest.raises(CommandError, match="1 entries were refused"):
        run_sam("catalog", "add", "other", *common)

    assert CatalogModel.objects.get(model_id="served").endpoint == "http://gpu-9/v1"
    assert CatalogModel.objects.count() == 6


@pytest.mark.parametrize(
    "values",
    [
        {"endpoint": "http://gpu-9/v1"},
        {"remote_name": "qwen", "filename": ""},
        {"remote_name": "qwen", "endpoint": "http://gpu-9/v1"},
        {"folder": "qwen"},
        {"endpoint": "http://ann@gpu-9/v1", "remote_name": "qwen", "filename": ""},
        {"gpu_layers": -2},
        {"device": ""},
    ],
)
def test_the_database_holds_no_entry_that_could_mean_two_things(
    engines: Engines, values: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        CatalogModel.objects.filter(pk=engines.old.pk).update(**values)


def test_the_preview_says_that_texts_go_to_a_server(
    curator: APIClient, people: People, engines: Engines
) -> None:
    curator.post("/api/v1/catalog", SERVED, format="json")
    use_engine(people.alice, engines.old)
    served = CatalogModel.objects.get(model_id="qwen-served")
    plan = make_plan(people.alice, engines.__class__(**{**vars(engines), "new": served}))

    told = [line for line in plan.preview["warnings"] if "server" in line]
    assert told == [
        "Qwen on a server runs on the server http://gpu-9:8000/v1: what is written goes there."
    ]
    assert plan.preview["bytes_to_fetch"] == 1000
    assert "qwen-served" not in [row["model_id"] for row in plan.preview["engines_in_memory"]]
