"""Documents come, change and go during a migration, its switch and its rollback; nothing is lost."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from engines.files.artifacts import ArtifactStore
from engines.models import KnowledgeBase, VectorIndex
from engines.services.knowledge.indexes import base_digest, index_digest, missing_chunks
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.states import PlanStatus
from tests.faults.harness import finished, migrate
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.plans.writers import Writers
from tests.world.people import Person
from tests.world.workers import Workers, wait_until

QUIET_SECONDS = 60


def live_indexes(person: Person) -> list[VectorIndex]:
    bases = KnowledgeBase.objects.filter(owner=person.user).order_by("pk")
    related = bases.select_related("live_index__fingerprint", "live_index__base")
    return [base.live_index for base in related if base.live_index is not None]


def checkpoint(person: Person, writers: Writers, store: ArtifactStore) -> None:
    """With the writers held, the live indexes catch up and then answer for exactly the database."""
    with writers.paused:
        wait_until(
            lambda: not any(missing_chunks(i, after_seq=0, limit=1) for i in live_indexes(person)),
            "the live indexes to know everything",
            seconds=QUIET_SECONDS,
        )
        for index in live_indexes(person):
            assert index_digest(index, store) == base_digest(index.base, index.fingerprint_id)
    assert writers.failures == []


@pytest.mark.slow
def test_writers_never_stop_and_nothing_is_lost(
    ada: Person,
    workers: Workers,
    store: ArtifactStore,
    record_property: Callable[[str, object], None],
) -> None:
    seed = secrets.randbits(32)
    record_property("seed", seed)
    base_ids = [base.pk for base in ada.bases]
    with Writers(base_ids, ada.user.pk, seed) as writers:
        checkpoint(ada, writers, store)
        plan = migrate(ada)
        checkpoint(ada, writers, store)
        assert finished(plan).status == PlanStatus.COMPLETED, plan.error_message
        checkpoint(ada, writers, store)
        back = Plan.objects.get(pk=MigrationController().roll_back_migration(plan.pk))
        checkpoint(ada, writers, store)
        assert finished(back).status == PlanStatus.COMPLETED, back.error_message
        checkpoint(ada, writers, store)

    old, new = ada.old.model_id, ada.new.model_id
    assert writers.seen == {(old, (old,)), (new, (new,))}
    assert writers.writes > writers.refused
    assert_nothing_wrong()
