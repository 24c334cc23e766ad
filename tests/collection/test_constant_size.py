"""However often somebody is moved, what is kept does not grow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.apps import apps
from django.conf import settings

from engines.services.people.preferences import preference_of
from migrations_app.collection.collect import collect, own_place, sum_of, survey
from migrations_app.models import CollectionRun
from tests.plans.conftest import world
from tests.plans.hash_world import HashWorld

__all__ = ["world"]
"""A fixture of another folder."""

KEPT_FOR_EVER = {"auditentry", "preferencesnapshot", "notice", "collectionrun"}
"""The audit and a person's own versions are history by decision; the other two have their days."""

Sizes = tuple[dict[str, int], int, int]


def sizes(world: HashWorld) -> Sizes:
    """Return how many rows each table has, and how many files and bytes the store."""
    rows = {
        name: model._default_manager.count()
        for label in ("engines", "migrations_app")
        for model in apps.get_app_config(label).get_models()
        if (name := model._meta.model_name or "") not in KEPT_FOR_EVER
    }
    files = [file.size for page in world.store.pages() for file in page]
    return rows, len(files), sum(files)


def collected(world: HashWorld) -> tuple[int, Sizes]:
    """Collect when every retention has ended; how much the dry run said, and what is left."""
    place = own_place()
    place = replace(place, now=place.now + timedelta(days=settings.SAM_HISTORY_DAYS + 1))
    announced = sum_of(survey(place)).count
    collect(place)
    CollectionRun.objects.all().delete()
    assert sum_of(survey(place)).count == 0
    return announced, sizes(world)


@pytest.mark.parametrize("moves", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_store_and_tables_have_the_same_size_after_any_number_of_migrations(
    moves: int,
    world: HashWorld,
) -> None:
    for page in world.store.pages():
        for file in page:
            world.store.delete(file.key)
    base = world.base("Notes", "The bridge.", "The violin.")
    for target in ("new", "old"):
        world.migrated(target)
    _, settled = collected(world)

    for number in range(moves):
        world.migrated("new" if number % 2 == 0 else "old")
    grown = sizes(world)
    announced, after = collected(world)

    assert after == settled
    assert grown[1] > after[1]
    # The plans and what they shared out at least; what goes with those is due only then.
    assert announced >= 2 * moves
    assert preference_of(world.user).version == 2 + 2 + moves
    assert world.found(base, "The bridge.") == ["The bridge.", "The violin."]
