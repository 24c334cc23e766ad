"""Who still needs a revision: each use that the tables can hold, for each caller that asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db.models import ForeignKey

from engines.models import CatalogModel, Fingerprint, ModelRevision, VectorIndex
from migrations_app.hosts import HostNeededError, drain_host
from migrations_app.library import get_model_library_manager
from migrations_app.models import Plan, Step
from migrations_app.plans.revision_needs import (
    IN_MEMORY,
    Reason,
    RevisionNeededError,
    is_needed,
    needs_of,
    require_unneeded,
)
from migrations_app.steps.settle import settle
from tests.people.uses import CASES, DECIDED, Scene
from tests.plans.hash_world import all_rows

pytestmark = pytest.mark.django_db
LEADS_TO_A_REVISION = (CatalogModel, ModelRevision, Fingerprint, VectorIndex)


@pytest.fixture
def scene(db: None) -> Scene:
    return Scene()


@pytest.mark.parametrize("name", CASES)
def test_each_use_is_one_reason_and_each_caller_counts_its_own(scene: Scene, name: str) -> None:
    case = CASES[name]
    case.add(scene)

    assert {need.reason for need in needs_of(scene.revision)} == case.reasons
    assert needs_of(scene.revision, IN_MEMORY) == [
        need for need in needs_of(scene.revision) if need.reason in IN_MEMORY
    ]
    assert is_needed(scene.revision, IN_MEMORY) is bool(case.reasons & IN_MEMORY)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.reasons])
def test_what_is_needed_is_not_deleted_and_the_refusal_names_each_reason(
    scene: Scene, name: str
) -> None:
    CASES[name].add(scene)
    needs = needs_of(scene.revision)
    before = all_rows()

    with pytest.raises(RevisionNeededError) as refusal:
        get_model_library_manager().delete_model("subject")

    assert all_rows() == before
    told = str(refusal.value)
    assert told.startswith(f"{scene.revision} cannot be deleted: ")
    for need in needs:
        assert f"{need.sentence} ({need.reason.value})" in told


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.reasons])
def test_what_nobody_needs_is_deleted(scene: Scene, name: str) -> None:
    CASES[name].add(scene)

    require_unneeded(scene.revision)
    assert get_model_library_manager().delete_model("subject") is True

    assert Plan.objects.filter(kind="delete", to_revision=scene.revision).exists()


@pytest.mark.parametrize("name", CASES)
def test_a_host_is_kept_for_the_people_whom_its_file_serves_today(scene: Scene, name: str) -> None:
    case = CASES[name]
    case.add(scene)

    if not case.people:
        assert drain_host(scene.host, who="oscar").status == "draining"
        return
    with pytest.raises(HostNeededError, match=f"^{case.people} people need .*: subject"):
        drain_host(scene.host, who="oscar")
    scene.host.refresh_from_db()
    assert scene.host.status == "active"


def test_every_foreign_key_that_leads_to_a_revision_is_decided() -> None:
    """Who adds one decides here whether it keeps a file from being deleted."""
    fields = {
        f"{model._meta.app_label}.{model.__name__}.{field.name}"
        for app in ("engines", "migrations_app")
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.get_fields()
        if isinstance(field, ForeignKey) and field.related_model in LEADS_TO_A_REVISION
    }

    assert fields == set(DECIDED)
    assert {name for names in DECIDED.values() for name in names} <= set(CASES)
    assert {reason for case in CASES.values() for reason in case.reasons} == set(Reason)


@pytest.mark.parametrize("somebody_comes", [False, True])
def test_settling_leaves_in_memory_what_another_open_plan_needs(
    scene: Scene, somebody_comes: bool
) -> None:
    """Its own plan still runs, and leaves the engine; the other person's is about to use it."""
    plan = scene.plan(
        from_revision=scene.revision, to_engine=scene.other.model, to_revision=scene.other
    )
    if somebody_comes:
        bob = User.objects.create(username="bob")
        Plan.objects.create(
            kind="migrate", user=bob, status="in_progress", to_revision=scene.revision
        )
    ctx: Any = SimpleNamespace(plan=plan, step=Step(kind="settle"), host=scene.host, live=Calls())

    sentence = settle(ctx).sentence

    unloads = [("unload", scene.revision.pk)] if not somebody_comes else []
    assert ctx.live.made == [("warm", scene.other.pk), *unloads]
    assert ("stays for others" in sentence) is somebody_comes


class Calls:
    """The live requests that a step makes, as (kind, revision)."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    def call(self, kind: str, payload: dict[str, int], **_options: object) -> None:
        self.made.append((kind, payload["revision_id"]))


@pytest.mark.parametrize(
    ("count", "sentence"), [(1, "1 person uses it"), (3, "3 people use it (migrate them first)")]
)
def test_people_are_counted_and_not_named(scene: Scene, count: int, sentence: str) -> None:
    scene.choose(engine=scene.subject, revision=scene.revision)
    for number in range(1, count):
        other = User.objects.create(username=f"person-{number}")
        scene.own.pk, scene.own.user = None, other
        scene.own.engine, scene.own.revision = scene.subject, scene.revision
        scene.own.save()

    with pytest.raises(RevisionNeededError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        require_unneeded(scene.revision)


def test_older_revisions_of_a_model_in_use_can_still_be_deleted(scene: Scene) -> None:
    scene.choose(engine=scene.subject, revision=None)
    newer = ModelRevision.objects.create(
        model=scene.subject, commit="f" * 40, sha256="f" * 64, file_size=1
    )
    copy = scene.revision.copies.get()
    copy.pk, copy.revision, copy.path = None, newer, "/models/newer"
    copy.save()
    CatalogModel.objects.filter(pk=scene.subject.pk).update(current_revision=newer)

    assert get_model_library_manager().delete_model("subject") is True

    started: list[Any] = list(Plan.objects.values_list("to_revision", flat=True))
    assert started == [scene.revision.pk]
