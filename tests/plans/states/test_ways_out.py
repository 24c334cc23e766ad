"""States that nothing else walks out of: hosts that are not there, copies that are not whole, indexes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings
from redis import Redis

from deploy.demo.hub.server import HubServer
from engines.models import CopyStatus, Embedding, Host, HostStatus, VectorIndex
from engines.services.catalog.copies import copy_mark, copy_of
from engines.services.hosts import HostRefusedError, admit_host, invite_host, join_host
from engines.services.knowledge.keep_up import lagging_indexes
from migrations_app.collection.collect import collect, own_place
from migrations_app.hosts import drain_host, retire_host
from migrations_app.library import ModelLibraryManager
from migrations_app.models import Plan
from migrations_app.plans.transitions import request_cancel
from migrations_app.states import PlanStatus
from tests.invariants.nothing_wrong import assert_nothing_wrong
from tests.knowledge.world import live_index
from tests.plans.hash_world import HashWorld
from tests.plans.test_pauses import hub
from tests.worker.plans import first_step, make_host
from tests.world.people import NEW, make_catalog
from worker.steps.runner import run_step

__all__ = ["hub"]
"""A fixture of a neighbour."""

pytestmark = pytest.mark.django_db(transaction=True)

WHO = "olga"


@pytest.mark.parametrize("status", [HostStatus.JOINING, HostStatus.LOST])
def test_a_host_that_is_not_there_is_let_go_and_may_come_again(
    status: HostStatus, redis_client: Redis
) -> None:
    host = admit_host("away", who=WHO, why="A test.")
    Host.objects.filter(pk=host.pk).update(status=status, last_seen=timezone.now())
    host.refresh_from_db()

    retired = retire_host(drain_host(host, who=WHO), who=WHO)
    assert retired.status == HostStatus.RETIRED
    with pytest.raises(HostRefusedError):
        join_host("away", "")

    token, _ = invite_host("away", who=WHO)
    assert join_host("away", token).status == HostStatus.JOINING


def test_whatever_a_copy_was_a_download_makes_it_whole(
    hub: HubServer,
    settings: Settings,
    tmp_path: Path,
    redis_client: Redis,
) -> None:
    settings.SAM_MODELS_DIR = tmp_path / "models"
    settings.HF_HUB_CACHE, settings.OLLAMA_MODELS = tmp_path / "hf", tmp_path / "ollama"
    library = ModelLibraryManager()
    with hub:
        host = make_host()
        revision = make_catalog(hub.endpoint)[1]
        for status in (CopyStatus.NOT_DOWNLOADED, CopyStatus.CORRUPTED, CopyStatus.MISSING):
            copy = copy_of(revision, host)
            copy_mark(copy, status, error="A test said so.")
            if status == CopyStatus.CORRUPTED:
                Path(copy.path).chmod(0o600)
                Path(copy.path).write_bytes(b"damaged")
            if status == CopyStatus.MISSING:
                Path(copy.path).unlink()
            run_step(first_step(library.start_download(NEW, host=host.name)).pk)
            copy.refresh_from_db()
            assert (copy.status, copy.error) == (CopyStatus.DOWNLOADED, "")
            assert Path(copy.path).stat().st_size == revision.file_size
    assert Plan.objects.filter(status=PlanStatus.COMPLETED).count() == 3
    assert_nothing_wrong()


def test_what_a_cancelled_plan_began_to_build_is_let_go(world: HashWorld) -> None:
    base = world.base("Notes", "The bridge.")
    plan = world.migration("new")
    run_step(first_step(plan).pk)
    assert VectorIndex.objects.count() == 2
    request_cancel(plan.pk, who=WHO)

    place = own_place()
    collect(replace(place, now=place.now + timedelta(days=6)))
    assert Embedding.objects.values("fingerprint").distinct().count() == 2
    collect(replace(place, now=place.now + timedelta(days=8)))

    left = VectorIndex.objects.exclude(live_for=base).get()
    assert (left.base_seq, left.file_key) == (None, "")
    assert Embedding.objects.values("fingerprint").distinct().count() == 1
    assert world.found(base, "The bridge.") == ["The bridge."]


def test_an_index_that_was_let_go_is_built_again(world: HashWorld) -> None:
    base = world.base("Notes", "The bridge.")
    request_cancel(world.migration("new").pk, who=WHO)
    place = own_place()
    collect(replace(place, now=place.now + timedelta(days=30)))

    assert world.migrated("new").status == PlanStatus.COMPLETED

    assert world.spaces() == ["new"]
    assert world.found(base, "The bridge.") == ["The bridge."]
    assert_nothing_wrong()


def test_a_damaged_file_is_reported_by_a_search_and_built_again(world: HashWorld) -> None:
    base = world.base("Notes", "The bridge.")
    index = live_index(base)
    world.store.delete(index.file_key)

    assert world.found(base, "The bridge.") == ["The bridge."]
    assert [lagging.pk for lagging in lagging_indexes()] == [index.pk]
    world.keep_up(live_index(base))

    assert world.store.exists(live_index(base).file_key)
    assert not lagging_indexes().exists()
    assert_nothing_wrong()
