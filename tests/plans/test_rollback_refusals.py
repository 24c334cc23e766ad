"""When there is no way back any more, and that asking for it changes nothing."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from engines.exceptions import ConflictError
from engines.models import CopyStatus
from engines.services.catalog.copies import copy_mark, copy_of
from migrations_app.controller import MigrationController
from migrations_app.models import Plan
from migrations_app.plans.housekeeping import end_stale_downloads
from migrations_app.plans.revision_needs import needs_of
from migrations_app.states import PlanKind, PlanStatus
from tests.knowledge.world import (
    WAIT_SECONDS,
    Threads,
    make_model,
    wait_until_somebody_waits_for_a_lock,
)
from tests.plans.hash_world import HashWorld, all_rows

TEXTS = ("The first text.", "The second text.")


@pytest.fixture
def migrated(world: HashWorld) -> Plan:
    world.base("Notes", *TEXTS)
    return world.migrated("new")


def test_after_its_retention_has_ended_nothing_is_taken_back(
    world: HashWorld, migrated: Plan
) -> None:
    Plan.objects.filter(pk=migrated.pk).update(
        retention_until=timezone.now() - timedelta(seconds=1)
    )
    before = all_rows()

    with pytest.raises(ConflictError, match="retention ended; migrate instead"):
        MigrationController().roll_back_migration(migrated.pk)

    assert all_rows() == before
    assert world.spaces() == ["new"]


def test_a_way_back_under_way_goes_on_and_keeps_what_it_leads_to_once_the_retention_ended(
    world: HashWorld,
) -> None:
    embedder = world.placed(make_model("companion"))
    world.uses(world.engine("paired", companion=embedder))
    world.base("Notes", *TEXTS)
    plan = world.migrated("new")
    back = MigrationController().roll_back_migration(plan.pk)
    Plan.objects.filter(pk=plan.pk).update(retention_until=timezone.now() - timedelta(seconds=1))

    sentences = [need.sentence for need in needs_of(embedder)]

    assert sentences == [f"a running plan needs it: {back}"]
    copy_mark(copy_of(embedder, world.host), CopyStatus.DOWNLOADING)
    assert end_stale_downloads() == 0, "the way back fetches it"
    assert MigrationController().roll_back_migration(plan.pk) == back


def test_who_asks_at_the_same_moment_as_another_gets_the_way_back_of_both(
    migrated: Plan, threads: Threads
) -> None:
    ask = partial(MigrationController().roll_back_migration, migrated.pk)
    with transaction.atomic():
        back = ask()
        other = threads.start(ask)
        wait_until_somebody_waits_for_a_lock()

    assert other.result(timeout=WAIT_SECONDS) == back
    assert Plan.objects.filter(rolls_back=migrated).count() == 1


def test_a_moment_before_it_ends_there_is_a_way_back(world: HashWorld, migrated: Plan) -> None:
    Plan.objects.filter(pk=migrated.pk).update(retention_until=timezone.now() + timedelta(hours=1))
    # What was put back for somebody else is in nobody's way.
    Plan.objects.create(
        kind=PlanKind.RESTORE,
        user=User.objects.create(username="somebody else"),
        status=PlanStatus.COMPLETED,
        finished_at=timezone.now(),
    )

    world.taken_back(migrated)

    assert world.spaces() == ["old"]
