"""Getting, checking and leaving models that SAM does not fetch: of a server, and in a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from deploy.demo.models.tiny_models import write_llama_chat
from engines.exceptions import ArtifactMissingError, EngineError
from engines.fit.engine_need import Need
from engines.fit.placement import room_of
from engines.machine import measure
from engines.models import CatalogModel, CopyStatus, Host, ModelCopy, ModelRevision
from engines.services.catalog.copies import copy_of, engine_spec, is_present, mark_unsafe
from engines.services.catalog.resolving import pinned_revision
from engines.services.knowledge.fingerprints import embedding_spec_of, fingerprint_for
from engines.specs import EmbeddingSpec, EngineSpec
from migrations_app.models import Plan, Step
from migrations_app.states import PlanKind
from tests.runtimes.servers.ollama_server import OllamaStore, ollama_server
from tests.worker.plans import first_step, make_host, make_plan
from worker.host.engine_pool import EnginePool, engine_pool
from worker.steps.runner import StepFailedError, run_step

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def host(db: None) -> Host:
    return make_host()


@pytest.fixture
def models(settings: Settings, tmp_path: Path) -> Path:
    folder: Path = tmp_path / "models"
    settings.SAM_MODELS_DIR = folder
    return folder


@pytest.fixture
def ollama(tmp_path: Path, tiny_llama: Path) -> Iterator[OllamaStore]:
    (tmp_path / "ollama").mkdir()
    with ollama_server(tmp_path / "ollama") as store:
        store.models["tiny:latest"] = tiny_llama
        yield store
    engine_pool().unload("tiny")


def make_entry(**fields: Any) -> ModelRevision:
    model = CatalogModel(model_id="m", display_name="M", model_family="llama", **fields)
    model.clean()
    model.save()
    return pinned_revision(model)


def served(endpoint: str, name: str = "tiny", **fields: Any) -> ModelRevision:
    return make_entry(
        runtime="ollama", endpoint=endpoint, remote_name=name, context_length=512, **fields
    )


def run(kind: PlanKind, revision: ModelRevision, host: Host) -> Step:
    plan = make_plan(kind, host)
    Plan.objects.filter(pk=plan.pk).update(to_revision=revision)
    try:
        run_step(first_step(plan).pk)
    except StepFailedError:
        return first_step(plan)
    return first_step(plan)


def test_a_served_embedder_is_usable_once_its_server_has_shown_it(
    host: Host, ollama: OllamaStore
) -> None:
    revision = served(ollama.endpoint, role="embedding")

    step = run(PlanKind.DOWNLOAD, revision, host)

    assert (step.status, step.error) == ("completed", "")
    assert step.detail == f"{revision} is served at {ollama.endpoint}."
    copy = ModelCopy.objects.get()
    assert (copy.status, copy.path, copy.file_size) == (CopyStatus.DOWNLOADED, "tiny", 0)
    revision = ModelRevision.objects.get()
    spec = embedding_spec_of(revision.model, revision)
    assert (spec.dimension, spec.max_tokens) == (revision.facts["embedding_length"], 512)
    with engine_pool().acquire(engine_spec(revision, copy.path, embedding=spec)) as engine:
        assert (
            len(engine.embed("A bridge."))
            == fingerprint_for(revision.model, revision).facts["dimension"]
        )
    assert mark_unsafe(copy.path, host.name, "It crashed.") == 0
    assert run(PlanKind.VERIFY, revision, host).detail == f"{revision} is served as before."


@pytest.mark.slow
def test_a_server_that_changed_its_embedder_is_found_out(
    host: Host, ollama: OllamaStore, tmp_path: Path
) -> None:
    revision = served(ollama.endpoint, role="embedding")
    run(PlanKind.DOWNLOAD, revision, host)
    facts = ModelRevision.objects.get().facts
    engine_pool().unload("tiny")
    ollama.unload("tiny:latest")
    ollama.models["tiny:latest"] = write_llama_chat(tmp_path / "other.gguf", seed=99)

    step = run(PlanKind.VERIFY, ModelRevision.objects.get(), host)

    assert (step.status, "its model was changed" in step.detail) == ("completed", True)
    copy = ModelCopy.objects.get()
    assert (copy.status, is_present(copy)) == (CopyStatus.CORRUPTED, False)
    assert ModelRevision.objects.get().facts == facts


def test_a_server_that_cannot_be_reached_is_asked_again_and_nothing_is_written(
    host: Host,
) -> None:
    revision = served(NOBODY)

    step = run(PlanKind.DOWNLOAD, revision, host)

    assert (step.status, step.failures) == ("pending", 1)
    assert "cannot be reached" in step.error + step.detail
    copy = copy_of(revision, host)
    assert (copy.status, copy.path) == (CopyStatus.NOT_DOWNLOADED, "")
    assert "cannot be reached" in copy.error
    assert ModelRevision.objects.get().facts == {}


def test_a_model_the_server_does_not_list_fails_the_step_by_name(
    host: Host, ollama: OllamaStore
) -> None:
    step = run(PlanKind.DOWNLOAD, served(ollama.endpoint, "other"), host)

    assert step.status == "failed"
    assert f"{ollama.endpoint} has no model 'other'; it has tiny:latest." in step.error
    assert ModelCopy.objects.get().status == CopyStatus.NOT_DOWNLOADED


def test_a_server_that_is_gone_for_a_while_does_not_take_its_engine_away(
    host: Host, ollama: OllamaStore
) -> None:
    companion = CatalogModel.objects.create(model_id="c", role="embedding")
    revision = served(ollama.endpoint, embedding_model=companion)
    run(PlanKind.DOWNLOAD, revision, host)
    CatalogModel.objects.filter(model_id="m").update(endpoint=NOBODY)

    step = run(PlanKind.DOWNLOAD, ModelRevision.objects.get(), host)

    assert (step.status, step.failures) == ("pending", 1)
    assert is_present(ModelCopy.objects.get())


def test_a_host_without_the_plugin_says_so(host: Host) -> None:
    revision = served(NOBODY)
    CatalogModel.objects.update(runtime="abacus")

    step = run(PlanKind.DOWNLOAD, ModelRevision.objects.get(), host)

    assert step.status == "failed"
    assert "no runtime 'abacus'; known are llama_cpp, llama_server, ollama" in step.error
    assert copy_of(revision, host).status == CopyStatus.NOT_DOWNLOADED


def make_folder(models: Path, name: str = "smollm/main") -> Path:
    folder = models / name
    folder.mkdir(parents=True)
    config = {"model_type": "llama", "hidden_size": 64, "max_position_embeddings": 2048}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"a" * 1000)
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"b" * 500)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "note").write_text("of another program")
    return folder


def folder_entry() -> ModelRevision:
    return make_entry(runtime="transformers", folder="smollm/main")


def test_a_folder_is_read_once_and_its_files_are_watched(host: Host, models: Path) -> None:
    folder, revision = make_folder(models), folder_entry()

    step = run(PlanKind.DOWNLOAD, revision, host)

    assert (step.status, step.detail) == ("completed", f"{revision} is the folder smollm/main.")
    revision = ModelRevision.objects.get()
    copy = ModelCopy.objects.get()
    size = 1500 + (folder / "config.json").stat().st_size
    assert (copy.path, copy.file_size, revision.file_size) == (str(folder), size, size)
    assert copy.checksum == revision.sha256 != ""
    assert embedding_spec_of(revision.model, revision) == EmbeddingSpec(64, 2048)
    assert run(PlanKind.VERIFY, revision, host).detail == f"{revision} is intact."

    (folder / "model-00002-of-00002.safetensors").write_bytes(b"c" * 500)
    step = run(PlanKind.VERIFY, revision, host)

    assert "does not hold the files with which m was first used" in step.detail
    assert ModelCopy.objects.get().status == CopyStatus.CORRUPTED
    assert ModelRevision.objects.get().sha256 == revision.sha256


def test_another_hosts_folder_must_hold_the_same_files(host: Host, models: Path) -> None:
    ModelRevision.objects.filter(pk=folder_entry().pk).update(sha256="a" * 64, file_size=7)
    make_folder(models)

    step = run(PlanKind.DOWNLOAD, ModelRevision.objects.get(), host)

    assert step.status == "failed"
    assert ModelCopy.objects.get().status == CopyStatus.CORRUPTED


def test_a_folder_that_is_not_there_or_brings_code_is_refused(host: Host, models: Path) -> None:
    revision = folder_entry()

    absent = run(PlanKind.DOWNLOAD, revision, host)
    folder = make_folder(models)
    (folder / "config.json").write_text('{"auto_map": {"AutoModel": "code.Model"}}')
    foreign = run(PlanKind.DOWNLOAD, revision, host)

    assert "no folder smollm/main; put it into SAM_MODELS_DIR" in absent.error
    assert "needs code of its own, which is never run" in foreign.error
    assert ModelCopy.objects.get().status == CopyStatus.NOT_DOWNLOADED
    assert ModelRevision.objects.get().sha256 == ""


def test_what_sam_did_not_fetch_is_left_where_it_is(
    host: Host, models: Path, ollama: OllamaStore
) -> None:
    folder, revision = make_folder(models), folder_entry()
    run(PlanKind.DOWNLOAD, revision, host)

    step = run(PlanKind.DELETE, ModelRevision.objects.get(), host)

    assert step.detail == f"This host uses {revision} no more; what runs or holds it stays."
    assert (folder / "config.json").is_file()
    assert ModelCopy.objects.get().status == CopyStatus.NOT_DOWNLOADED


def test_the_pool_counts_a_folder_by_its_files_and_a_server_as_nothing(
    host: Host, models: Path
) -> None:
    folder, sizes = make_folder(models), []

    def enough(_spec: EngineSpec, size: int) -> Need:
        sizes.append(size)
        raise EngineError("Enough for this test.")

    pool = EnginePool(
        room_of(measure(models)), lambda _spec: pytest.fail("made"), lambda *_: None, enough
    )
    spec = EngineSpec("m", "M", str(folder), runtime="transformers")
    far = replace(spec, runtime="openai", endpoint=NOBODY)

    for wanted in (spec, far):
        with pytest.raises(EngineError, match="Enough"), pool.acquire(wanted):
            pass
    assert sizes == [1500 + (folder / "config.json").stat().st_size, 0]
    shutil.rmtree(folder)
    with pytest.raises(ArtifactMissingError), pool.acquire(spec):
        pass
