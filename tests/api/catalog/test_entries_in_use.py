"""A catalog entry that people use: what stays, what is asked about, and that it is resolved anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from rest_framework.test import APIClient

from deploy.demo.hub.server import HubServer
from engines.exceptions import NotFoundError
from engines.models import (
    CatalogModel,
    EngineDefault,
    EngineFallback,
    EnginePreference,
    ModelRevision,
    ModelRole,
)
from engines.services.catalog.copies import copy_path, remote_files
from engines.services.catalog.exchange import ImportOptions, import_catalog
from engines.services.catalog.resolving import pinned_revision
from engines.services.catalog.usage import count_usage
from engines.services.catalog.validation import validate_entry
from engines.services.knowledge.documents import create_base
from engines.services.knowledge.fingerprints import fingerprint_for
from engines.services.knowledge.indexes import index_for
from engines.services.people.defaults import validate_default
from samproject.cli.errors import CommandError
from tests.api.roles import Engines, People, make_default, make_model, problem, use_engine
from tests.sam_command import run_sam

OLD = "/api/v1/catalog/llama-8b"
EMBEDDER = "/api/v1/catalog/minilm"


def stored(model: CatalogModel) -> dict[str, Any]:
    return dict(CatalogModel.objects.filter(pk=model.pk).values().get())


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    folder = tmp_path / "org" / "llama-8b"
    folder.mkdir(parents=True)
    for name in ("llama-8b", "llama-8b-v2"):
        (folder / f"{name}.gguf").write_bytes(name.encode() * 100)
    with HubServer(tmp_path) as server:
        yield server


@pytest.fixture
def at_hub(engines: Engines, hub: HubServer) -> CatalogModel:
    """Llama, its file found at a hub that is there."""
    model = engines.old
    ModelRevision.objects.filter(model=model).delete()
    model.hub_endpoint, model.current_revision = hub.endpoint, None
    model.save()
    pinned_revision(model)
    return model


@pytest.fixture
def searched(people: People, engines: Engines) -> CatalogModel:
    """The embedder, with whose vectors one base of Alice is searched."""
    revision = engines.embedder.current_revision
    assert revision is not None
    facts = {"embedding_length": 8, "context_length": 512}
    ModelRevision.objects.filter(pk=revision.pk).update(facts=facts)
    revision.refresh_from_db()
    base = create_base(owner=people.alice, name="Notes")
    base.live_index = index_for(base, fingerprint_for(engines.embedder, revision))
    base.save()
    return engines.embedder


def test_an_edited_entry_is_resolved_anew_and_the_pinned_stay(
    people: People, at_hub: CatalogModel, tmp_path: Path
) -> None:
    first = pinned_revision(at_hub)
    pinned = use_engine(people.alice, at_hub)

    CatalogModel.objects.filter(pk=at_hub.pk).update(filename="llama-8b-v2.gguf")
    edited = CatalogModel.objects.get(pk=at_hub.pk)
    second = pinned_revision(edited)

    assert (first.filename, second.filename) == ("llama-8b.gguf", "llama-8b-v2.gguf")
    assert second.sha256 != first.sha256
    assert CatalogModel.objects.get(pk=at_hub.pk).current_revision == second
    assert pinned_revision(edited) == second
    pinned.refresh_from_db()
    assert pinned.revision == first
    old = ModelRevision.objects.get(pk=first.pk)
    assert remote_files(old)[0].filename == "llama-8b.gguf"
    assert copy_path(tmp_path, old).name == "llama-8b.gguf"


@pytest.mark.parametrize(
    "change",
    [
        {"wanted_revision": "0" * 40},
        {"huggingface_repo": "org/elsewhere"},
        {"filename": "absent.gguf"},
    ],
)
def test_an_edit_to_what_is_not_there_is_not_answered_with_the_old_file(
    at_hub: CatalogModel, change: dict[str, str]
) -> None:
    CatalogModel.objects.filter(pk=at_hub.pk).update(**change)

    with pytest.raises(NotFoundError):
        pinned_revision(CatalogModel.objects.get(pk=at_hub.pk))

    assert ModelRevision.objects.filter(model=at_hub).count() == 1


def test_an_edited_digest_is_compared_and_a_mirror_is_no_other_file(
    at_hub: CatalogModel, hub: HubServer
) -> None:
    first, asked = pinned_revision(at_hub), len(hub.log)
    at_hub.sha256, at_hub.hub_endpoint = first.sha256, hub.elsewhere
    at_hub.save()
    assert pinned_revision(CatalogModel.objects.get(pk=at_hub.pk)) == first
    assert len(hub.log) == asked

    at_hub.sha256, at_hub.hub_endpoint = "a" * 64, hub.endpoint
    at_hub.save()
    with pytest.raises(Exception, match="the catalog expects aaaaaaaaaaaa"):
        pinned_revision(CatalogModel.objects.get(pk=at_hub.pk))


def test_an_entry_in_use_gets_no_file_that_is_not_there(
    curator: APIClient, people: People, at_hub: CatalogModel
) -> None:
    use_engine(people.alice, at_hub)
    before = stored(at_hub)

    absent = curator.patch(OLD, {"filename": "absent.gguf"}, format="json")
    also = curator.patch(OLD, {"filename": "absent.gguf", "confirm": True}, format="json")

    for answer in (absent, also):
        errors = problem(answer, 400, "invalid_request")["errors"]
        assert list(errors) == ["filename"]
        assert "its new file cannot be resolved" in errors["filename"][0]
    assert stored(at_hub) == before
    there = curator.patch(OLD, {"filename": "llama-8b-v2.gguf"}, format="json")
    assert there.status_code == 200, there.json()
    at_hub.refresh_from_db()
    assert pinned_revision(at_hub).filename == "llama-8b-v2.gguf"


def test_what_nobody_uses_may_name_a_file_that_comes_later(
    curator: APIClient, at_hub: CatalogModel
) -> None:
    answer = curator.patch(OLD, {"filename": "later.gguf"}, format="json")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "change", [{"role": "embedding"}, {"runtime": "openai"}, {"model_id": "llama-9b"}]
)
def test_an_entry_in_use_keeps_its_id_role_and_runtime_on_every_way(
    people: People, engines: Engines, change: dict[str, str]
) -> None:
    use_engine(people.alice, engines.old)
    before = stored(engines.old)
    served = {"endpoint": "http://gpu-9/v1", "remote_name": "m"} if "runtime" in change else {}
    places = {"huggingface_repo": "", "filename": ""} if served else {}
    named = {"display_name": "L", "model_family": "llama", **change, **served, **places}
    document = {"models": {"llama-8b": {**named, "model_id": "llama-8b"}}}

    if "model_id" not in change:
        report = import_catalog(document, ImportOptions(overwrite=True, confirmed=True))
        assert "1 person uses it." in report.refused["llama-8b"]
    with pytest.raises(ValidationError, match="An entry in use keeps this field"):
        _validate(engines.old, {**change, **served, **places})

    assert stored(engines.old) == before


def _validate(model: CatalogModel, change: dict[str, str]) -> None:
    entry = CatalogModel.objects.get(pk=model.pk)
    for name, value in change.items():
        setattr(entry, name, value)
    validate_entry(entry, confirmed=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"query_prefix": "query: "}, "query_prefix"),
        ({"document_prefix": "passage: "}, "document_prefix"),
        ({"pooling": "cls"}, "pooling"),
        ({"normalise": False}, "normalise"),
        ({"embedding_dimension": 4}, "embedding_dimension"),
    ],
)
def test_what_moves_vectors_in_use_is_asked_about_with_numbers(
    curator: APIClient,
    people: People,
    engines: Engines,
    searched: CatalogModel,
    change: dict[str, Any],
    named: str,
) -> None:
    # Her base made her preference.
    EnginePreference.objects.filter(user=people.alice).update(engine=engines.old)
    use_engine(people.bob, engines.new)
    before = stored(searched)

    asked = curator.patch(EMBEDDER, change, format="json")

    errors = problem(asked, 400, "invalid_request")["errors"]
    assert list(errors) == ["confirm"]
    assert errors["confirm"][0].startswith(
        "2 people use it, 1 knowledge base is searched with its vectors. "
        f"{named} decides what its vectors mean"
    )
    assert stored(searched) == before
    written = curator.patch(EMBEDDER, {**change, "confirm": True}, format="json")
    assert written.status_code == 200
    assert "confirm" not in written.json()
    assert {name: stored(searched)[name] for name in change} == change


def test_another_companion_of_an_engine_in_use_is_asked_about(
    curator: APIClient, people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)
    other = make_model("e5", role=ModelRole.EMBEDDING)

    asked = curator.patch(OLD, {"embedding_model": "e5"}, format="json")
    same = curator.patch(OLD, {"embedding_model": "minilm"}, format="json")
    unused = curator.patch("/api/v1/catalog/qwen-4b", {"embedding_model": "e5"}, format="json")

    assert list(problem(asked, 400, "invalid_request")["errors"]) == ["confirm"]
    assert (same.status_code, unused.status_code) == (200, 200)
    assert stored(engines.old)["embedding_model_id"] == engines.embedder.pk
    assert stored(engines.new)["embedding_model_id"] == other.pk


def test_a_prefix_keeps_its_blanks_and_line_breaks(curator: APIClient, engines: Engines) -> None:
    given = {"query_prefix": "search:\n ", "document_prefix": " "}

    answer = curator.patch(EMBEDDER, given, format="json")

    assert {name: answer.json()[name] for name in given} == given
    assert {name: stored(engines.embedder)[name] for name in given} == given


@pytest.mark.parametrize(("tokens", "sentence"), [(99_999_999, "16777216"), (4097, "4096 tokens")])
def test_a_context_is_one_that_the_file_has(
    curator: APIClient, engines: Engines, tokens: int, sentence: str
) -> None:
    ModelRevision.objects.filter(model=engines.old).update(facts={"context_length": 4096})

    answer = curator.patch(OLD, {"context_length": tokens}, format="json")

    errors = problem(answer, 400, "invalid_request")["errors"]
    assert list(errors) == ["context_length"]
    assert sentence in errors["context_length"][0]
    assert stored(engines.old)["context_length"] == 0
    assert curator.patch(OLD, {"context_length": 4096}, format="json").status_code == 200


def test_people_are_counted_as_answers_are_given(people: People, engines: Engines) -> None:
    research, other = Group.objects.get(name="research"), Group.objects.create(name="other")
    people.alice.groups.add(research)
    people.bob.groups.add(other)
    EngineDefault.objects.create(group=research, engine=engines.old)
    EngineDefault.objects.create(group=other, engine=engines.new)
    make_default(engines.hidden)
    EnginePreference.objects.create(user=people.curator, engine=engines.old)
    EngineFallback.objects.create(engine=engines.new, answers=engines.old)

    found = {
        name: count_usage(getattr(engines, name)) for name in ("old", "new", "hidden", "embedder")
    }

    assert {name: usage.people for name, usage in found.items()} == {
        "old": 2,  # Alice by her group, the curator by choice
        "new": 1,
        "hidden": 2,
        "embedder": 5,
    }
    assert found["old"].sentence == (
        "2 people use it, 1 default names it, 1 fallback rule names it."
    )
    assert not count_usage(engines.reserved)


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        ("embedder", "minilm only embeds"),
        ("hidden", "draft-1b is not published"),
        ("reserved", "reserved-8b is reserved for research"),
    ],
)
def test_a_default_names_an_engine_that_can_answer(
    engines: Engines, engine: str, sentence: str
) -> None:
    default = EngineDefault(engine=getattr(engines, engine))

    with pytest.raises(ValidationError, match=sentence):
        default.full_clean()
    with pytest.raises(ValidationError, match=sentence):
        validate_default(default)

    EngineDefault(engine=engines.old).full_clean()
    research = Group.objects.get(name="research")
    EngineDefault(engine=engines.reserved, group=research).full_clean()


def test_a_default_has_a_file_that_can_be_resolved(at_hub: CatalogModel) -> None:
    validate_default(EngineDefault(engine=at_hub))
    CatalogModel.objects.filter(pk=at_hub.pk).update(filename="absent.gguf")

    with pytest.raises(ValidationError, match="cannot be resolved"):
        validate_default(EngineDefault(engine=CatalogModel.objects.get(pk=at_hub.pk)))


@pytest.mark.parametrize(
    ("change", "field"),
    [({"published": False}, "published"), ({"allowed_groups": ["research"]}, "allowed_groups")],
)
def test_a_default_engine_stays_one_that_all_may_use(
    curator: APIClient, engines: Engines, change: dict[str, Any], field: str
) -> None:
    make_default(engines.old)

    answer = curator.patch(OLD, {**change, "confirm": True}, format="json")

    errors = problem(answer, 400, "invalid_request")["errors"]
    assert list(errors) == [field]
    assert "It is the default engine of the organisation" in errors[field][0]
    engines.old.refresh_from_db()
    assert (engines.old.published, engines.old.allowed_groups.count()) == (True, 0)


def test_names_that_no_row_can_have_are_refused(curator: APIClient, engines: Engines) -> None:
    for change in (
        {"embedding_model": "a\x00b"},
        {"embedding_model": "\ud800"},
        {"allowed_groups": ["a\x00b"]},
        {"allowed_groups": [{"name": "research"}]},
    ):
        body = json.dumps(change)
        answer = curator.patch(OLD, body, content_type="application/json")
        problem(answer, 400, "invalid_request")

    assert engines.old.allowed_groups.count() == 0


def test_an_import_moves_vectors_in_use_only_when_it_is_confirmed(
    people: People, engines: Engines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use_engine(people.alice, engines.old)
    file = tmp_path / "catalog.json"
    entry = {"display_name": "M", "model_family": "bert", "query_prefix": "query: "}
    file.write_text(json.dumps({"models": {"minilm": entry}}))
    before = stored(engines.embedder)

    with pytest.raises(CommandError, match="1 entries were refused"):
        run_sam("catalog", "import", str(file), "--overwrite")

    assert "minilm: 1 person uses it. query_prefix decides" in capsys.readouterr().err
    assert stored(engines.embedder) == before
    run_sam("catalog", "import", str(file), "--overwrite", "--confirm")
    assert stored(engines.embedder)["query_prefix"] == "query: "
