from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from engines.fit.model_shape import ModelShape
from engines.fit.qwen3 import qwen3_models
from engines.models import CatalogModel, CopyStatus, Host, HostStatus, ModelCopy, ModelRevision
from engines.services.catalog import engine_options as module
from engines.services.catalog.engine_options import (
    EngineOption,
    all_engine_options,
    choosable_engines,
    engine_options,
)
from engines.services.catalog.speeds import (
    embedding_speed,
    note_answer_speed,
    note_embedding_speed,
)
from engines.services.knowledge.fingerprints import fingerprint_for
from tests.api.roles import (
    GIB,
    Engines,
    People,
    make_engines,
    make_model,
    make_people,
    use_engine,
)
from tests.knowledge.world import make_base

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(db: None) -> People:
    return make_people()


@pytest.fixture
def engines(db: None) -> Engines:
    return make_engines()


def options(people: People, wanted: str = "") -> dict[str, EngineOption]:
    """Return what Alice may choose; kept by the process or read anew, it is the same."""
    found = engine_options(people.alice, choosable_engines(people.alice, wanted))
    if not wanted:
        assert all_engine_options(people.alice) == found
    return {option.model.model_id: option for option in found}


def revision_of(model: CatalogModel) -> ModelRevision:
    assert model.current_revision is not None
    return model.current_revision


def give_shape(model: CatalogModel, size: str) -> None:
    shape: ModelShape = next(m for m in qwen3_models() if m.model_id == size).shape()
    ModelRevision.objects.filter(model=model).update(shape=shape.as_dict())


def test_a_person_sees_what_they_may_use_and_which_one_they_have(
    people: People, engines: Engines
) -> None:
    use_engine(people.alice, engines.old)

    found = options(people)

    assert set(found) == {"llama-8b", "qwen-4b"}
    assert [name for name, option in found.items() if option.is_current] == ["llama-8b"]


def test_another_revision_of_ones_engine_is_a_move(people: People, engines: Engines) -> None:
    use_engine(people.alice, engines.old)
    newer = ModelRevision.objects.create(
        model=engines.old, commit="c" * 40, sha256="d" * 64, file_size=1000
    )
    CatalogModel.objects.filter(pk=engines.old.pk).update(current_revision=newer)

    assert not options(people)["llama-8b"].is_current


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("", {"llama-8b", "qwen-4b"}),
        ("qwen", {"qwen-4b"}),
        ("QWEN 4b", {"qwen-4b"}),
        ("apache", {"qwen-4b"}),
        ("swedish", {"llama-8b"}),
        ("reserved", set()),
        ("% _", set()),
    ],
)
def test_the_database_searches(
    people: People, engines: Engines, wanted: str, names: set[str]
) -> None:
    CatalogModel.objects.filter(pk=engines.new.pk).update(licence="apache-2.0")
    CatalogModel.objects.filter(pk=engines.old.pk).update(tags=["swedish"])

    assert set(options(people, wanted)) == names


def test_what_fits_on_no_host_says_why(people: People, engines: Engines) -> None:
    give_shape(engines.new, "qwen3-235b-a22b")

    option = options(people)["qwen-4b"]

    assert not option.fits
    assert "GiB; the largest host has 57.6 GiB for engines." in option.obstacle
    assert options(people)["llama-8b"].obstacle == ""


def test_a_host_that_grows_is_judged_anew(people: People, engines: Engines) -> None:
    give_shape(engines.new, "qwen3-32b")
    Host.objects.update(memory_bytes=8 * GIB)
    assert not options(people)["qwen-4b"].fits

    Host.objects.update(memory_bytes=512 * GIB)
    assert options(people)["qwen-4b"].fits


def test_without_a_host_nothing_can_be_chosen(people: People, engines: Engines) -> None:
    Host.objects.update(status=HostStatus.LOST)

    assert options(people)["qwen-4b"].obstacle == "No host is active at the moment."


def test_the_best_host_has_room_and_the_file(people: People, engines: Engines) -> None:
    give_shape(engines.new, "qwen3-8b")
    small = Host.objects.create(name="small", status=HostStatus.ACTIVE, memory_bytes=4 * GIB)
    gpu = Host.objects.create(
        name="gpu-2",
        status=HostStatus.ACTIVE,
        memory_bytes=64 * GIB,
        gpus=["H200"],
        vram_bytes=139 * GIB,
    )
    ModelCopy.objects.create(
        revision=revision_of(engines.new),
        host=gpu,
        status=CopyStatus.DOWNLOADED,
        path="/m",
        checksum="c",
    )
    note_answer_speed(revision_of(engines.new), gpu, tokens=82, seconds=2.0)

    option = options(people)["qwen-4b"]

    assert [place.host for place in option.places] == ["gpu-2", "gpu-1", small.name]
    assert option.measured is not None
    assert option.measured.tokens_per_second == 41.0
    assert option.reasons == ["runs on the GPU of gpu-2", "its file is on gpu-2 already"]


def test_a_recommendation_needs_room(people: People, engines: Engines) -> None:
    CatalogModel.objects.update(recommended=True)
    give_shape(engines.new, "qwen3-4b")
    assert options(people)["qwen-4b"].is_recommended

    Host.objects.update(memory_bytes=GIB)
    assert not options(people)["qwen-4b"].is_recommended


def test_the_same_embedder_keeps_the_knowledge(people: People, engines: Engines) -> None:
    other = make_model("phi-2b")
    assert not options(people)["qwen-4b"].keeps_embedder

    revision = revision_of(engines.embedder)
    revision.facts = {"embedding_length": 8, "context_length": 512, "pooling": "mean"}
    revision.save()
    make_base(people.alice, fingerprint_for(engines.embedder, revision))

    found = options(people)
    assert found["qwen-4b"].keeps_embedder
    assert "your knowledge stays as it is" in found["qwen-4b"].reasons
    assert not found[other.model_id].keeps_embedder


def test_questions_do_not_grow_with_the_catalog(people: People, engines: Engines) -> None:
    use_engine(people.alice, engines.old)
    engine_options(people.alice, choosable_engines(people.alice))
    with CaptureQueriesContext(connection) as few:
        engine_options(people.alice, choosable_engines(people.alice))
    for number in range(30):
        model = make_model(f"more-{number}", embedding_model=engines.embedder)
        ModelCopy.objects.create(revision=revision_of(model), host=engines.host)
    for number in range(5):
        Host.objects.create(name=f"h{number}", status=HostStatus.ACTIVE, last_seen=timezone.now())

    with CaptureQueriesContext(connection) as many:
        found = engine_options(people.alice, choosable_engines(people.alice))

    assert len(found) == 32
    assert len(many) == len(few) <= 8


def test_what_is_kept_costs_one_question_until_something_changes(
    people: People, engines: Engines
) -> None:
    all_engine_options(people.alice)
    Host.objects.update(last_seen=timezone.now())
    with CaptureQueriesContext(connection) as caught:
        all_engine_options(people.alice)
    assert len(caught) == 1, "a heartbeat changes nothing of it"

    note = CatalogModel.objects.filter(pk=engines.new.pk)
    note.update(display_name="Renamed")
    assert options(people)["qwen-4b"].model.display_name == "Renamed"
    engines.new.allowed_groups.set(engines.reserved.allowed_groups.all())
    assert "qwen-4b" not in options(people)
    people.alice.groups.set(engines.reserved.allowed_groups.all())
    assert {"qwen-4b", "reserved-8b"} <= set(options(people))
    note.update(published=False)
    assert "qwen-4b" not in options(people)


def test_a_large_catalog_is_not_kept(
    people: People, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LIBRARY", 2)
    make_model("one-more")

    assert all_engine_options(people.alice) is None


def test_too_little_work_says_nothing_about_speed(engines: Engines) -> None:
    revision = revision_of(engines.embedder)
    ModelCopy.objects.create(revision=revision, host=engines.host)

    note_embedding_speed(revision, engines.host, texts=3, characters=30, seconds=1.0)
    assert embedding_speed(revision, engines.host) is None

    note_embedding_speed(revision, engines.host, texts=66, characters=660, seconds=2.0)
    speed = embedding_speed(revision, engines.host)
    assert speed is not None
    assert (speed.texts, speed.per_second) == (66, 330.0)
