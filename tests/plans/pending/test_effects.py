"""What a preview says besides its counts: how fast, how well, what is no longer there."""

from __future__ import annotations

from typing import Any

import pytest

from engines.exceptions import InvalidRequestError
from engines.models import CatalogModel, Host, ModelCopy, ModelRevision, SpeedSample
from engines.services.catalog.speeds import (
    MIN_BYTES,
    SAMPLES_KEPT,
    note_download_speed,
    note_embedding_speed,
)
from engines.services.people.conversations import add_message, create_conversation
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.api.roles import GIB, Engines, People, make_engines, make_people, use_engine
from tests.plans.hash_world import HashWorld

controller = MigrationController()


def preview(world: HashWorld, target: str = "new", *, re_embed: bool = True) -> dict[str, Any]:
    plan_id = controller.create_migration_plan("current", target, "ada", re_embed=re_embed)
    return dict(Plan.objects.get(pk=plan_id).preview)


def give_context(name: str, tokens: int) -> None:
    ModelRevision.objects.filter(model__model_id=name).update(
        facts={"context_length": tokens, "embedding_length": 32, "pooling": "mean"}
    )


def test_the_time_rests_on_a_guess_until_the_host_has_worked(world: HashWorld) -> None:
    texts = [f"Text {number} of many, as long as any." for number in range(10, 50)]
    world.base("Notes", *texts)

    first = preview(world)
    assert (first["is_measured"], first["texts_per_second"]) == (False, 12.0)
    assert first["time_basis"] == (
        f"a guess: {world.host.name} was not measured with this embedder yet"
    )
    assert first["estimated_seconds"] == 64, "40 texts at 12 a second, and a minute for the rest"

    world.migrated("new")
    SpeedSample.objects.update(seconds=2.0)
    third = world.engine("third", companion=ModelRevision.objects.get(model__model_id="new"))
    world.base("More", "Another text.")
    back = preview(world, third.model.model_id)
    assert (back["is_measured"], back["to_embed"]) == (True, 0)
    assert back["time_basis"] == f"measured on {world.host.name} over the last 40 passages"
    assert back["texts_per_second"] == pytest.approx(20, rel=0.05), "a bit more for a short text"
    assert back["other_seconds"] < 60.0, "as the last plan took"


def test_only_the_latest_work_is_kept_and_longer_texts_take_longer(world: HashWorld) -> None:
    revision = ModelRevision.objects.get(model__model_id="new")
    for number in range(SAMPLES_KEPT + 5):
        note_embedding_speed(
            revision, world.host, texts=100, characters=1000, seconds=1.0 if number else 500.0
        )
        note_download_speed(world.host, size=MIN_BYTES * (number + 1), seconds=1.0)
    assert SpeedSample.objects.count() == 2 * SAMPLES_KEPT
    world.base("Notes", *(f"{number} ".ljust(20, "x") for number in range(4)))
    ModelCopy.objects.filter(revision=revision).update(status="not_downloaded")

    found = preview(world)

    assert found["texts_per_second"] == pytest.approx(50.0), "twice as long as those measured"
    assert found["bytes_per_second"] == sum(range(6, SAMPLES_KEPT + 6)) * MIN_BYTES // SAMPLES_KEPT
    assert found["download_basis"] == (
        f"measured on {world.host.name} over the last {sum(range(6, SAMPLES_KEPT + 6))} MiB"
    )


def test_a_companion_that_stays_keeps_the_knowledge(world: HashWorld) -> None:
    world.base("Notes", "A text.")
    old = ModelRevision.objects.get(model__model_id="old")
    world.engine("same", companion=old)

    assert not preview(world)["keeps_embedder"]
    assert preview(world, "same")["keeps_embedder"]
    assert preview(world, re_embed=False)["keeps_embedder"]


def test_a_shorter_context_counts_the_conversations_that_get_cut(world: HashWorld) -> None:
    give_context("old", 8192)
    give_context("new", 1024)
    for length in (100, 1024 * 4 + 1):
        add_message(create_conversation(world.user), role="user", content="x" * length)

    found = preview(world)

    assert found["context"] == {"before": 8192, "after": 1024, "conversations_cut": 1}
    assert any("About 1 conversations will be cut" in warning for warning in found["warnings"])


@pytest.mark.parametrize(("before", "after"), [(1024, 8192), (0, 1024), (1024, 0)])
def test_a_context_that_is_not_shorter_cuts_nothing(
    world: HashWorld, before: int, after: int
) -> None:
    give_context("old", before)
    give_context("new", after)
    add_message(create_conversation(world.user), role="user", content="x" * 9000)

    found = preview(world)

    assert found["context"] == {"before": before, "after": after, "conversations_cut": 0}
    assert not any("context" in warning for warning in found["warnings"])


def test_what_the_new_engine_cannot_do_is_told(world: HashWorld) -> None:
    CatalogModel.objects.filter(model_id="old").update(model_family="qwen")
    CatalogModel.objects.filter(model_id="new").update(model_family="gemma")

    lost = preview(world)["lost"]

    assert len(lost) == 2
    assert "call tools" in lost[0]
    assert "does not reason" in lost[1]


def test_quality_is_that_of_earlier_moves_between_the_same_embedders(world: HashWorld) -> None:
    base = world.base("Notes", *(f"Text {number}." for number in range(20)))
    assert preview(world)["quality"] is None
    moved = world.migrated("new")
    world.taken_back(moved)
    moved.steps.update_or_create(
        kind="probe",
        defaults={
            "position": 9,
            "status": "completed",
            "result": {
                "indexes": [
                    {"base": base.pk, "compared": 20, "old_found": 18, "found": 19},
                    {"base": base.pk, "not_compared": "It is the base's first index."},
                ]
            },
        },
    )

    assert preview(world)["quality"] == {"moves": 1, "asked": 20, "old_found": 18, "new_found": 19}
    world.engine("other")
    assert preview(world, "other")["quality"] is None


@pytest.fixture
def people(db: None) -> People:
    return make_people()


@pytest.fixture
def engines(db: None) -> Engines:
    return make_engines()


def test_an_engine_that_fits_nowhere_is_refused(people: People, engines: Engines) -> None:
    use_engine(people.alice, engines.old)
    ModelRevision.objects.filter(model=engines.new).update(file_size=100 * GIB)

    with pytest.raises(InvalidRequestError, match=r"needs 120.0 GiB and fits on no host"):
        controller.create_migration_plan("current", "qwen-4b", "alice")
    assert not Plan.objects.exists()

    Host.objects.update(memory_bytes=0)
    assert controller.create_migration_plan("current", "qwen-4b", "alice"), "not known yet"
    assert Plan.objects.get().status == PlanStatus.PENDING
