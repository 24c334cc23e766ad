"""An embedder's folder from the catalog to vectors: computed by OpenVINO, without torch."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pytest_django.fixtures import Settings

from engines.exceptions import ConflictError, InvalidRequestError
from engines.machine import Machine
from engines.models import CatalogModel, CopyStatus, Host, ModelCopy, ModelRevision, ModelRole
from engines.runtimes.openvino.folder import read_folder
from engines.services.catalog.copies import engine_spec
from engines.services.catalog.fit import fit_side_by_side, judge_alone
from engines.services.catalog.instructions import propose_instructions
from engines.services.catalog.local_files import add_local_model
from engines.services.catalog.resolving import pinned_revision
from engines.services.knowledge.fingerprints import embedding_spec_of, fingerprint_for
from engines.specs import EmbeddingSpec
from migrations_app.models import Plan, Step
from migrations_app.states import PlanKind
from tests.runtimes.openvino.tiny_folders import WIDTH, write_folder, write_json, write_rules
from tests.worker.plans import first_step, make_host, make_plan
from worker.host.engine_pool import engine_pool
from worker.steps.runner import StepFailedError, run_step

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def host(db: None) -> Host:
    return make_host()


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.SAM_MODELS_DIR = tmp_path / "models"
    path = write_folder(settings.SAM_MODELS_DIR / "gte" / "tiny", "new")
    write_rules(path, "cls_token", limit=32, query="ask: ")
    return path


def _entry() -> CatalogModel:
    entry = CatalogModel(model_id="t", display_name="T", model_family="gte", runtime="openvino")
    entry.folder, entry.role = "gte/tiny", ModelRole.EMBEDDING
    entry.full_clean()
    entry.save()
    return entry


def _download(entry: CatalogModel, host: Host) -> Step:
    plan = make_plan(PlanKind.DOWNLOAD, host)
    Plan.objects.filter(pk=plan.pk).update(to_revision=pinned_revision(entry))
    step = first_step(plan)
    with suppress(StepFailedError):
        run_step(step.pk)
    step.refresh_from_db()
    return step


def test_a_folder_of_the_catalog_embeds_by_its_own_rules(host: Host, folder: Path) -> None:
    entry = _entry()

    assert _download(entry, host).status == "completed"

    copy, revision = ModelCopy.objects.get(), ModelRevision.objects.get()
    entry.refresh_from_db()
    spec = embedding_spec_of(entry, revision)
    assert spec == EmbeddingSpec(WIDTH, 32, pooling="cls")
    proposed = propose_instructions(entry)
    assert proposed is not None
    assert (proposed.query_prefix, proposed.document_prefix) == ("ask: ", "")
    assert proposed.card == "gte/tiny"
    needs = read_folder(folder).resident_bytes
    judged = judge_alone(entry, revision, Machine(2, needs * 4))
    assert (judged.fits, judged.needs_bytes, judged.is_guessed) == (True, needs, False)
    side_by_side = fit_side_by_side([revision], Machine(2, needs // 2))
    assert side_by_side.fits is False
    assert [(one["needs_bytes"], one["read_from_header"]) for one in side_by_side.needs] == [
        (needs, True)
    ]
    before = fingerprint_for(entry, revision).digest
    entry.query_prefix = "ask: "
    assert fingerprint_for(entry, revision).digest != before
    with engine_pool().acquire(engine_spec(revision, copy.path, embedding=spec)) as engine:
        assert np.isclose(np.linalg.norm(engine.embed("A bridge.")), 1)
    assert engine_pool().unload(copy.path) == 1


def test_a_folder_that_nobody_computes_costs_no_process(host: Host, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    write_json(folder / "config.json", {**config, "model_type": "llama"})

    step = _download(_entry(), host)

    assert step.status == "failed"
    assert "its model_type is 'llama'" in step.error
    assert ModelCopy.objects.get().status == CopyStatus.NOT_DOWNLOADED
    assert ModelRevision.objects.get().sha256 == ""


def test_a_folder_is_added_where_it_lies(host: Host, folder: Path, tmp_path: Path) -> None:
    added = add_local_model(folder, {"model_id": "mine"}, host)

    entry, copy = added.entry, added.copy
    assert (entry.runtime, entry.folder, entry.role) == ("openvino", "gte/tiny", "embedding")
    assert (entry.query_prefix, entry.document_prefix) == ("ask: ", "")
    assert (copy.status, copy.path) == (CopyStatus.DOWNLOADED, str(folder))
    assert copy.checksum == entry.revisions.get().sha256 != ""
    assert embedding_spec_of(entry, entry.revisions.get()).query_prefix == "ask: "
    # The same once more is the same entry; another folder under its name is not.
    assert add_local_model(folder, {"model_id": "mine"}, host).copy == copy
    other = write_folder(folder.parent / "other", "bert")
    with pytest.raises(ConflictError, match="another entry already"):
        add_local_model(other, {"model_id": "mine"}, host)
    elsewhere = write_folder(tmp_path / "elsewhere", "bert")
    with pytest.raises(InvalidRequestError, match=r"put .* below SAM_MODELS_DIR"):
        add_local_model(elsewhere, {}, host)
    assert CatalogModel.objects.get() == entry
    assert CatalogModel.objects.get().folder == "gte/tiny"
