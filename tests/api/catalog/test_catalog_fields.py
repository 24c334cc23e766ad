"""One list of an entry's fields: what a curator sets is exported, imported, shown and edited everywhere."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import Group
from django.test import RequestFactory
from rest_framework.test import APIClient

from engines.host_runtimes import engine_registry
from engines.models import CatalogModel, ModelRole
from engines.services.catalog.entry_rules import COMPUTE_FIELDS
from engines.services.catalog.exchange import ImportOptions, export_catalog, import_catalog
from engines.services.catalog.fields import KEPT_BY_SAM, list_curated_fields
from engines.services.catalog.starter.entries import STARTER_COMPANION
from engines.specs import ComputeSettings, EngineSpec, ModelInfo, ModelSource
from migrations_app.admin.catalog import CatalogModelAdmin
from migrations_app.api.serializers.catalog import CatalogModelSerializer
from migrations_app.library import get_model_library_manager
from tests.api.roles import Engines, People
from tests.sam_command import run_sam

SEED = 20_241
ENTRIES = 60
WORDS = ["", "a", "Ä b", "line\nbreak", "日本", '"quoted"', "x" * 64]
PREFIXES = [*WORDS, "line\nbreak\n", " blank ", " "]


def own_fields() -> set[str]:
    meta = CatalogModel._meta
    return {f.name for f in (*meta.fields, *meta.many_to_many) if not f.primary_key}


def test_every_field_of_the_model_is_in_every_place(people: People, engines: Engines) -> None:
    wanted = own_fields() - set(KEPT_BY_SAM)
    requests = [RequestFactory().get("/", {"runtime": name}) for name in engine_registry().runtimes]
    for request in requests:
        request.user = people.curator
    page = CatalogModelAdmin(CatalogModel, site)
    entries = export_catalog()["models"]
    places = {
        "fields.list_curated_fields": set(list_curated_fields()),
        "the export": set(entries["llama-8b"]),
        "the REST serializer": set(CatalogModelSerializer.Meta.fields),
        "the REST serializer's writable fields": {
            name for name, field in CatalogModelSerializer().fields.items() if not field.read_only
        },
        # Each form has the fields of one runtime; between them they have all.
        "the admin's forms": {
            name for request in requests for name in page.get_form(request).base_fields
        },
        "the admin's fieldsets": {
            name for request in requests for name in flatten_fieldsets(page.get_fieldsets(request))
        },
    }

    missing = {place: sorted(wanted - found) for place, found in places.items() if wanted - found}

    assert missing == {}
    assert len(list_curated_fields()) == len(set(list_curated_fields()))


def test_a_field_in_no_group_comes_in_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.services.catalog.fields._GROUPS", {"": (("model_id",),)})

    assert list_curated_fields()[0] == "model_id"
    assert set(list_curated_fields()) == own_fields() - set(KEPT_BY_SAM)


def test_what_is_computed_and_told_follows_from_the_same_names() -> None:
    settings = CatalogModel().compute_settings()
    by_another_name = {"load_quantization": "quantization"}

    assert set(settings) == set(ComputeSettings.__annotations__)
    assert set(settings) == {by_another_name.get(name, name) for name in COMPUTE_FIELDS}
    assert set(settings) <= {field.name for field in fields(EngineSpec)}
    assert {field.name for field in fields(ModelInfo)} <= own_fields()


def random_entry(chance: random.Random, number: int) -> dict[str, Any]:
    """Values that go together, each field otherwise at random."""
    source = chance.choice(list(ModelSource))
    # Only files rank.
    roles = [role for role in ModelRole if source == ModelSource.FILE or role != ModelRole.RANK]
    role = chance.choice(roles)
    entry: dict[str, Any] = {
        "model_id": f"m{number}:{chance.randrange(1000)}",
        "display_name": f"Model {number} {chance.choice(WORDS)}".strip(),
        "description": chance.choice(WORDS),
        "model_family": chance.choice(["llama", "qwen", "other"]),
        "role": str(role),
        "quantization": chance.choice(["", "Q4_K_M"]),
        "context_length": chance.choice([1, 4096, 2**24]),
        "passage_tokens": chance.choice([0, 512, 8192]),
        "embedding_dimension": chance.choice([None, 384]),
        "pooling": chance.choice(["", "mean", "cls", "last"]),
        "normalise": chance.random() < 0.5,
        "query_prefix": chance.choice(PREFIXES),
        "document_prefix": chance.choice(PREFIXES),
        "licence": chance.choice(["", "apache-2.0"]),
        "tags": chance.sample(WORDS[1:], 2),
        "recommended": chance.random() < 0.5,
        "published": chance.random() < 0.5,
        "allowed_groups": sorted(chance.sample(["research", "sales", "law"], chance.randrange(4))),
        "embedding_model": chance.choice([None, "minilm"]) if role == ModelRole.CHAT else None,
        "file_size": chance.randrange(2**40),
    }
    return entry | PLACES[source](chance) | _compute(chance, source, role)


PLACES: dict[ModelSource, Callable[[random.Random], dict[str, Any]]] = {
    ModelSource.FILE: lambda chance: {
        "huggingface_repo": f"org/m{chance.randrange(99)}",
        "filename": "deep/m.gguf",
        "wanted_revision": chance.choice(["main", "v1"]),
        "hub_endpoint": chance.choice(["", "https://hub.example"]),
        "sha256": chance.choice(["", "a" * 64]),
        "runtime": "llama_cpp",
    },
    ModelSource.FOLDER: lambda _: {"folder": "some/where", "runtime": "transformers"},
    ModelSource.SERVER: lambda chance: {
        "endpoint": "http://gpu-9:8000/v1",
        "remote_name": "Org/Name",
        "runtime": chance.choice(["openai", "ollama"]),
    },
}


def _compute(chance: random.Random, source: ModelSource, role: ModelRole) -> dict[str, Any]:
    if source == ModelSource.FOLDER:
        return {
            "device": chance.choice(["auto", "cpu"]),
            "load_quantization": chance.choice(["", "4bit"]),
            "use_flash_attention": chance.random() < 0.5,
        }
    if source == ModelSource.SERVER:
        return {}
    return {
        "device": chance.choice(["auto", "CUDA0,CUDA1"]),
        "gpu_layers": chance.choice([-1, 7]),
        "split_mode": chance.choice(["none", "layer", "row"]),
        "main_gpu": chance.randrange(16),
        "tensor_split": chance.choice([[], [1, 3], [0.5, 0.25]]),
        "use_flash_attention": chance.random() < 0.5,
        "batch_invariant": role == ModelRole.CHAT and chance.random() < 0.5,
    }


def test_every_field_goes_out_and_in_again(curator: APIClient, engines: Engines) -> None:
    chance = random.Random(SEED)  # noqa: S311 - repeatable
    for name in ("sales", "law"):
        Group.objects.create(name=name)
    made = [random_entry(chance, number) for number in range(ENTRIES)]
    for entry in made:
        answer = curator.post("/api/v1/catalog", entry, format="json")
        assert answer.status_code == 201, (SEED, entry, answer.json())
        shown = {**answer.json(), "allowed_groups": sorted(answer.json()["allowed_groups"])}
        assert {name: shown[name] for name in entry} == entry, SEED
    exported = json.loads(json.dumps(export_catalog()))
    CatalogModel.objects.exclude(pk=engines.embedder.pk).exclude(revisions__isnull=False).delete()

    report = import_catalog(exported, ImportOptions())

    assert report.refused == {}, SEED
    assert len(report.created) == ENTRIES
    assert json.loads(json.dumps(export_catalog()))["models"] == exported["models"], SEED
    assert {name for entry in made for name in entry} == set(list_curated_fields())


def test_a_reserved_model_stays_reserved_or_is_refused(engines: Engines) -> None:
    exported = export_catalog()
    engines.reserved.revisions.all().delete()
    engines.reserved.delete()
    Group.objects.filter(name="research").update(name="renamed")

    report = import_catalog(exported, ImportOptions())

    assert list(report.refused) == ["reserved-8b"]
    assert "there is no such group here" in report.refused["reserved-8b"]
    assert not CatalogModel.objects.filter(model_id="reserved-8b").exists()
    Group.objects.filter(name="renamed").update(name="research")
    assert import_catalog(exported, ImportOptions()).created == ["reserved-8b"]
    again = CatalogModel.objects.get(model_id="reserved-8b")
    assert [group.name for group in again.allowed_groups.all()] == ["research"]


def test_an_import_leaves_what_curators_set_unless_it_is_told_to_overwrite(
    engines: Engines,
) -> None:
    exported = export_catalog()
    research = Group.objects.get(name="research")
    engines.old.embedding_model, engines.old.licence = None, "mit"
    engines.old.save()
    engines.old.allowed_groups.add(research)

    left = import_catalog(exported, ImportOptions())

    assert list(left.left) == ["llama-8b"]
    assert "differs in licence, allowed_groups, embedding_model" in left.left["llama-8b"]
    assert (left.created, left.updated, len(left.unchanged)) == ([], {}, 4)
    engines.old.refresh_from_db()
    assert (engines.old.embedding_model, engines.old.licence) == (None, "mit")
    partial = {"models": {"llama-8b": {"display_name": "L", "model_family": "llama"}}}
    import_catalog(partial, ImportOptions(overwrite=True))
    engines.old.refresh_from_db()
    assert (engines.old.display_name, engines.old.licence) == ("L", "mit")

    written = import_catalog(exported, ImportOptions(overwrite=True))

    assert list(written.updated) == ["llama-8b"]
    assert export_catalog()["models"] == exported["models"]


def test_a_second_starter_catalog_keeps_a_curated_companion(engines: Engines) -> None:
    library = get_model_library_manager()
    first = library._create_default_catalog()
    curated = CatalogModel.objects.filter(embedding_model__model_id=STARTER_COMPANION).first()
    assert curated is not None
    CatalogModel.objects.filter(pk=curated.pk).update(embedding_model=engines.embedder)

    second = library._create_default_catalog()

    assert (second.created, second.updated, second.refused) == ([], {}, {})
    assert list(second.left) == [curated.model_id]
    assert len(second.unchanged) == len(first.created) - 1
    curated.refresh_from_db()
    assert curated.embedding_model == engines.embedder
    said = run_sam("catalog", "starter", "--overwrite")
    curated.refresh_from_db()
    assert curated.embedder.model_id == STARTER_COMPANION
    assert f"{curated.model_id}: updated (embedding_model)." in said


def test_adding_names_only_what_changes(engines: Engines) -> None:
    CatalogModel.objects.filter(pk=engines.old.pk).update(licence="mit", context_length=2048)

    run_sam("catalog", "add", "llama-8b", "--name", "Llama", "--family", "llama")

    engines.old.refresh_from_db()
    assert (engines.old.display_name, engines.old.licence) == ("Llama", "mit")
    assert (engines.old.context_length, engines.old.embedding_model) == (2048, engines.embedder)
