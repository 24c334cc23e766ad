"""The checker finds nothing where all is well, each damage that is planted, and writes nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from redis import Redis

from engines.models import KnowledgeBase, VectorIndex
from migrations_app.invariants.check import RULES, check_invariants, name_of
from migrations_app.invariants.findings import MAX_FINDINGS, Finding, read_only
from tests.invariants.changed_texts import DAMAGES
from tests.invariants.damages import Plant
from tests.invariants.scene import SECRET, Scene, make_scene
from tests.knowledge.world import add
from tests.plans.conftest import world
from tests.plans.hash_world import HashWorld, all_rows

__all__ = ["world"]
"""A fixture of another folder."""


@pytest.fixture
def scene(world: HashWorld, redis_client: Redis, tmp_path: Path) -> Scene:
    return make_scene(world, redis_client, tmp_path / "logs")


RULE = {name_of(rule): rule for rule in RULES}


def planted(scene: Scene, name: str, plant: Plant) -> list[tuple[str, Finding]]:
    """Return what a rule finds with a damage, which is gone again afterwards."""
    with transaction.atomic():
        undo = plant(scene)
        try:
            return list(check_invariants(scene.around, [RULE[name]]))
        finally:
            transaction.set_rollback(True)
            if undo is not None:
                undo()


def test_each_damage_is_found_and_a_sound_world_has_none(scene: Scene) -> None:
    before = all_rows()
    assert scene.found() == []

    missed = {}
    for rule, plant in DAMAGES:
        found = planted(scene, rule, plant)
        if not found:
            missed[plant.__name__] = rule
        assert SECRET not in repr(found)
        assert all(f.where and f.problem.endswith(".") and f.remedy for _, f in found)

    assert missed == {}
    assert {name_of(rule) for rule in RULES} == {rule for rule, _ in DAMAGES}
    assert scene.found() == []
    assert all_rows() == before


def test_a_check_is_bounded_and_can_write_nothing(scene: Scene) -> None:
    with CaptureQueriesContext(connection) as few:
        scene.found()
    for number in range(20):
        add(scene.base, f"Another text, number {number}.")
    scene.world.keep_up(scene.live)
    with CaptureQueriesContext(connection) as more:
        scene.found()

    assert len(more) == len(few)
    with transaction.atomic():
        rows = [KnowledgeBase(owner=scene.world.user, name=str(n)) for n in range(MAX_FINDINGS + 9)]
        KnowledgeBase.objects.bulk_create(rows)
        KnowledgeBase.objects.update(live_index=VectorIndex.objects.earliest("pk"))
        found = [name for name, _ in scene.found()]
        transaction.set_rollback(True)
    assert found.count("crossed_pointers") == MAX_FINDINGS
    with read_only(), pytest.raises(DatabaseError, match="read-only"), transaction.atomic():
        KnowledgeBase.objects.update(name="written")
    assert KnowledgeBase.objects.filter(name="written").count() == 0


def test_the_command_says_what_is_wrong_and_exits_with_it(scene: Scene) -> None:
    said = io.StringIO()
    call_command("check_invariants", stdout=said)
    assert f"{len(RULES)} rules looked at, 0 findings." in said.getvalue()

    KnowledgeBase.objects.update(write_seq=0)
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("check_invariants", json=True, quick=True, stdout=said)

    assert ended.value.code == 1
    (line,) = said.getvalue().splitlines()
    assert json.loads(line) == {
        "rule": "chunks_of_the_future",
        "where": f"base {scene.base.pk}",
        "problem": "Chunks or indexes are ahead of its write_seq.",
        "remedy": json.loads(line)["remedy"],
    }
