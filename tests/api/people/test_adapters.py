"""Adapters through the API: imported from PEFT, held against their base, and when to retrain them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient
from safetensors.numpy import save

from deploy.demo.hub.server import HubServer
from deploy.demo.models.tiny_models import write_lora_for
from engines.files.artifacts import ArtifactStore
from engines.gguf.reader import read_header
from engines.models import Host, LoraAdapter, ModelRevision
from engines.services.catalog.copies import copy_of, mark_downloaded
from engines.services.people.adapters import invalidate_adapters, restore_adapters
from engines.services.people.seed_managers import get_dpo_model_manager
from tests.api.roles import Engines, People, problem

ADAPTERS = "/api/v1/adapters"
CONFIG = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}


def base_of(engines: Engines) -> ModelRevision:
    revision = engines.old.current_revision
    assert revision is not None
    return revision


@pytest.fixture
def base(engines: Engines, tiny_llama: Path, tmp_path: Path) -> ModelRevision:
    """The old engine's file, verified on this host."""
    digest = hashlib.sha256(tiny_llama.read_bytes()).hexdigest()
    ModelRevision.objects.filter(pk=base_of(engines).pk).update(
        sha256=digest, file_size=tiny_llama.stat().st_size
    )
    revision = ModelRevision.objects.get(pk=base_of(engines).pk)
    path = tmp_path / "llama-8b.gguf"
    copyfile(tiny_llama, path)
    here, _ = Host.objects.get_or_create(name=settings.SAM_HOST_NAME)
    mark_downloaded(copy_of(revision, here), path, digest)
    return revision


def saved_by_peft(width: int, **changes: np.ndarray[Any, Any]) -> bytes:
    prefix = "base_model.model.model.layers.1.self_attn.v_proj"
    tensors = {
        f"{prefix}.lora_A.weight": np.ones((4, width), np.float32),
        f"{prefix}.lora_B.weight": np.ones((width // 2, 4), np.float32),
        **changes,
    }
    return save(tensors)


def upload(client: APIClient, content: bytes, config: Any = None, **fields: str) -> Any:
    parts: dict[str, Any] = {"name": "style", "base_model": "llama-8b", **fields}
    parts["file"] = SimpleUploadedFile("adapter_model.safetensors", content)
    if config is not None:
        text = config if isinstance(config, bytes) else json.dumps(config).encode()
        parts["config"] = SimpleUploadedFile("adapter_config.json", text)
    return client.post(ADAPTERS, parts)


def test_a_peft_adapter_is_kept_as_gguf(alice: APIClient, base: ModelRevision) -> None:
    answer = upload(alice, saved_by_peft(128), CONFIG)

    assert answer.status_code == 201, answer.content
    assert (answer.json()["base_commit"], answer.json()["retraining"]) == (base.commit, None)
    adapter = LoraAdapter.objects.get()
    header = read_header(
        ArtifactStore(settings.SAM_ARTIFACT_STORE).local_path(adapter.artifact_key, Path())
    )
    assert [tensor.name for tensor in header.tensors] == [
        "blk.1.attn_v.weight.lora_a",
        "blk.1.attn_v.weight.lora_b",
    ]
    assert header.facts().adapter_alpha == 8.0


@pytest.fixture
def hub(tmp_path: Path, tiny_qwen: Path) -> Iterator[HubServer]:
    folder = tmp_path / "org" / "qwen-4b"
    folder.mkdir(parents=True)
    copyfile(tiny_qwen, folder / "qwen-4b.gguf")
    with HubServer(tmp_path) as server:
        yield server


def test_a_base_that_is_on_no_host_is_read_at_the_hub(
    alice: APIClient, engines: Engines, hub: HubServer
) -> None:
    model = engines.new
    model.hub_endpoint, model.current_revision = hub.endpoint, None
    model.save()
    prefix = "base_model.model.model.layers.0.self_attn.q_proj"
    wide = {
        f"{prefix}.lora_A.weight": np.ones((4, 160), np.float32),
        f"{prefix}.lora_B.weight": np.ones((160, 4), np.float32),
    }

    refused = upload(alice, saved_by_peft(128), CONFIG, base_model="qwen-4b")
    kept = upload(alice, save(wide), CONFIG, base_model="qwen-4b")

    problem(refused, 400, "adapter_mismatch")
    assert kept.status_code == 201, kept.content
    assert LoraAdapter.objects.get().base_revision.model == model


REFUSED = {
    "no safetensors": (b"GGUF" + bytes(60), CONFIG, "unsafe_model_file", "not read"),
    "half a configuration": (saved_by_peft(128), b"{", "invalid_request", "not JSON"),
    "a large configuration": (
        saved_by_peft(128),
        b" " * 2**20 + b" ",
        "invalid_request",
        "1048577",
    ),
    "another rank": (saved_by_peft(128), {**CONFIG, "r": 8}, "invalid_request", "has rank 4"),
    "another width": (saved_by_peft(96), CONFIG, "adapter_mismatch", "another shape"),
    "a stranger's name": (save({"x": np.ones(2)}), CONFIG, "unsafe_model_file", "holds 'F64'"),
}


@pytest.mark.parametrize(("content", "config", "code", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_imported_is_refused_and_nothing_is_kept(
    content: bytes, config: Any, code: str, reason: str, alice: APIClient, base: ModelRevision
) -> None:
    store = Path(settings.SAM_ARTIFACT_STORE)
    before = sorted(store.rglob("*"))

    answer = upload(alice, content, config)

    assert reason in problem(answer, 400, code)["detail"]
    assert not LoraAdapter.objects.exists()
    assert sorted(store.rglob("*")) == before


def test_an_adapter_for_other_shapes_is_refused_when_it_is_uploaded(
    alice: APIClient, base: ModelRevision, tiny_qwen: Path, tmp_path: Path
) -> None:
    lora = write_lora_for(tmp_path / "qwen.gguf", tiny_qwen)

    answer = upload(alice, lora.read_bytes())

    assert "trained on a qwen2 model" in problem(answer, 400, "adapter_mismatch")["detail"]
    assert not LoraAdapter.objects.exists()


def test_a_runtime_without_adapters_is_named(
    alice: APIClient, engines: Engines, tiny_lora: Path
) -> None:
    engines.old.runtime = "ollama"
    engines.old.save()

    answer = upload(alice, tiny_lora.read_bytes())

    assert "llama-8b runs on ollama" in problem(answer, 400, "invalid_request")["detail"]
    assert not LoraAdapter.objects.exists()


def test_adapters_tell_since_which_migration_they_need_retraining(
    alice: APIClient, people: People, engines: Engines, base: ModelRevision, tiny_lora: Path
) -> None:
    upload(alice, tiny_lora.read_bytes())
    manager = get_dpo_model_manager()
    adapter = LoraAdapter.objects.get()
    assert engines.new.current_revision is not None
    assert manager.get_models_to_retrain(people.alice.pk) == []

    invalidate_adapters(
        people.alice.pk,
        keep=engines.new.current_revision,
        plan_id="plan-7",
        from_engine="llama-8b",
    )

    shown = alice.get(f"{ADAPTERS}/{adapter.pk}").json()
    assert shown["status"] == "invalidated"
    since = shown["training_stats"]["migration_notes"][0]["at"]
    assert shown["retraining"] == {
        "migration_id": "plan-7",
        "since": since,
        "from_engine": "llama-8b",
        "to_engine": "qwen-4b",
    }
    (model,) = manager.get_models_to_retrain(people.alice.pk)
    assert (model.model_id, model.base_model) == ("style", "llama-8b")
    assert model.retraining is not None
    assert model.retraining.migration_id == "plan-7"
    assert manager.get_models_to_retrain(people.bob.pk) == []

    restore_adapters([adapter.pk], plan_id="plan-7")

    assert alice.get(f"{ADAPTERS}/{adapter.pk}").json()["retraining"] is None
    assert manager.get_models_to_retrain(people.alice.pk) == []
