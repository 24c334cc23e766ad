"""Spaces that were recorded before the longest text and flash attention counted stay what they are."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace

import numpy as np
import pytest
from django.apps import apps

from engines.models import CatalogModel, Fingerprint, ModelRevision
from engines.services.knowledge.embedding_rows import store_embeddings
from engines.services.knowledge.fingerprints import embedding_spec_of, fingerprint_for, spec_of
from engines.specs import fingerprint_digest
from tests.knowledge.world import make_model

pytestmark = pytest.mark.django_db
MIGRATION = importlib.import_module("engines.migrations.0017_longest_passages")


def record_as_before(revision: ModelRevision, *, max_tokens: int) -> Fingerprint:
    """A space as it was recorded: with the file's whole context, silent about flash attention."""
    now = embedding_spec_of(revision.model, revision)
    spec = replace(now, max_tokens=max_tokens, flash_attention=True)
    digest = fingerprint_digest(revision.model.runtime, revision.sha256, spec)
    facts = json.loads(json.dumps(spec.as_facts()))
    return Fingerprint.objects.create(digest=digest, revision=revision, facts=facts)


@pytest.mark.parametrize("flash_attention", [True, False])
@pytest.mark.parametrize("trained", [512, 8192])
def test_an_entry_whose_vectors_are_kept_goes_on_in_the_same_space(
    trained: int, flash_attention: bool
) -> None:
    revision = make_model("kept")
    model = revision.model
    revision.facts["context_length"] = trained
    CatalogModel.objects.filter(pk=model.pk).update(use_flash_attention=flash_attention)
    space = record_as_before(revision, max_tokens=trained)
    vector = np.ones(spec_of(space).dimension, np.float32)
    store_embeddings(space.pk, {bytes(32): vector}, {})

    MIGRATION.keep_the_spaces(apps, None)

    model.refresh_from_db()
    found = fingerprint_for(model, revision)
    assert found.pk == space.pk
    assert spec_of(found).max_tokens == trained
    assert spec_of(found).flash_attention is flash_attention
    assert Fingerprint.objects.count() == 1


def test_an_entry_that_never_embedded_gets_the_new_limit() -> None:
    revision = make_model("never")
    revision.facts["context_length"] = 32_768
    space = record_as_before(revision, max_tokens=32_768)

    MIGRATION.keep_the_spaces(apps, None)

    revision.model.refresh_from_db()
    assert embedding_spec_of(revision.model, revision).max_tokens == 2048
    assert fingerprint_for(revision.model, revision).pk != space.pk
