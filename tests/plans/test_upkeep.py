"""What goes on although no step runs."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from engines.models import CopyStatus, Host, KnowledgeBase, ModelCopy, VectorIndex
from migrations_app.models import Plan
from migrations_app.plans.housekeeping import (
    end_stale_downloads,
    release_writers,
    retained_index_ids,
    wake_keep_up,
)
from migrations_app.states import PlanStatus
from tests.benchmarks.switch import person_with_knowledge, plan_at_its_switch, switch_once
from tests.worker.plans import make_host

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return person_with_knowledge(25)


@pytest.fixture
def plan(ada: User) -> Plan:
    base = KnowledgeBase.objects.get(owner=ada)
    target = base.indexes.exclude(live_for=base).get()
    KnowledgeBase.objects.filter(pk=base.pk).update(embed_on_write_for=target)
    return plan_at_its_switch(ada, base, target)


def test_writers_are_released_when_their_switch_is_no_longer_under_way(plan: Plan) -> None:
    assert release_writers() == 0

    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.FAILED)

    assert release_writers() == 1
    assert not KnowledgeBase.objects.filter(embed_on_write_for__isnull=False).exists()


def test_a_host_without_the_embedder_is_not_called(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    (index,) = VectorIndex.objects.filter(live_for__owner=ada)
    called: list[str] = []

    def call(_index: int, host: Host) -> bool:
        called.append(host.name)
        return True

    monkeypatch.setattr("migrations_app.plans.housekeeping.publish_keep_up", call)
    make_host("a-first")
    holder = ModelCopy.objects.create(
        revision=index.fingerprint.revision,
        host=make_host("b-second"),
        status=CopyStatus.DOWNLOADED,
        path="/m",
        checksum="1" * 64,
    )

    assert wake_keep_up(index) is True

    holder.delete()
    assert wake_keep_up(index) is False
    assert called == ["b-second"]


def test_the_old_index_is_kept_up_until_the_retention_ends(ada: User) -> None:
    old = KnowledgeBase.objects.get(owner=ada).live_index_id
    switch_once(ada)
    assert retained_index_ids() == {old}

    Plan.objects.update(retention_until="2000-01-01T00:00:00Z")

    assert retained_index_ids() == set()


def test_a_download_whose_plan_has_ended_is_not_downloading(plan: Plan) -> None:
    assert plan.to_revision is not None
    copy = ModelCopy.objects.create(
        revision=plan.to_revision,
        host=Host.objects.get(name="bench"),
        status=CopyStatus.DOWNLOADING,
    )
    assert end_stale_downloads() == 0

    Plan.objects.filter(pk=plan.pk).update(status=PlanStatus.CANCELLED)

    assert end_stale_downloads() == 1
    copy.refresh_from_db()
    assert copy.status == CopyStatus.NOT_DOWNLOADED
