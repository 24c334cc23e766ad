"""A folder of the catalog, from its entry to an answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from engines.models import CatalogModel, ModelCopy, ModelRevision
from engines.services.catalog.copies import engine_spec
from engines.services.catalog.resolving import pinned_revision
from engines.services.knowledge.fingerprints import embedding_spec_of
from migrations_app.models import Plan
from migrations_app.states import PlanKind
from tests.worker.plans import first_step, make_host, make_plan
from worker.host.engine_pool import engine_pool
from worker.steps.runner import run_step


@pytest.mark.django_db(transaction=True)
def test_a_folder_of_the_catalog_answers_and_embeds(
    settings: Settings, tmp_path: Path, llama_folder: Path
) -> None:
    settings.SAM_MODELS_DIR = tmp_path / "models"
    shutil.copytree(llama_folder, settings.SAM_MODELS_DIR / "tiny")
    entry = CatalogModel(model_id="t", display_name="T", model_family="llama", device="cpu")
    entry.runtime, entry.folder = "transformers", "tiny"
    entry.full_clean()
    entry.save()
    plan = make_plan(PlanKind.DOWNLOAD, make_host())
    Plan.objects.filter(pk=plan.pk).update(to_revision=pinned_revision(entry))

    run_step(first_step(plan).pk)

    copy, revision = ModelCopy.objects.get(), ModelRevision.objects.get()
    embedding = embedding_spec_of(entry, revision)
    assert embedding.dimension == revision.facts["embedding_length"]
    with engine_pool().acquire(engine_spec(revision, copy.path)) as engine:
        assert engine.generate("Once upon a time", max_tokens=4, temperature=0)
    with engine_pool().acquire(engine_spec(revision, copy.path, embedding=embedding)) as engine:
        assert len(engine.embed("A bridge.")) == embedding.dimension
    assert engine_pool().unload(copy.path) == 2
