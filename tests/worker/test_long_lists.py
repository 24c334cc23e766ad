"""The sweeper looks at a few of many: who waits for something that does not come leaves the others their turn."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from redis import Redis

from engines.models import CatalogModel, EnginePreference, KnowledgeBase, ModelRole, VectorIndex
from migrations_app.backups import start_due_backups
from migrations_app.models import Backup, Plan, Step
from migrations_app.plans.backup_rules import MOST_STARTED, set_rule
from migrations_app.states import PlanKind, StepStatus
from tests.knowledge.world import make_base, make_model, make_space
from tests.plans.test_after_the_switch import held
from tests.worker.plans import make_host
from tests.worker.test_sweeper import called
from worker.sweeper import MAX_INDEXES, sweep

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timedelta(days=2)


def make_people(count: int) -> list[User]:
    return User.objects.bulk_create(User(username=f"person-{n:03}") for n in range(count))


def test_indexes_whose_embedder_is_on_no_host_leave_the_others_their_turn(
    redis_client: Redis,
) -> None:
    *waiting, last = make_people(MAX_INDEXES + 1)
    lost, here = make_space("on a lost host"), make_space("here")
    bases = [make_base(user, lost) for user in waiting]
    lagging = make_base(last, here)
    KnowledgeBase.objects.filter(pk__in=[base.pk for base in [*bases, lagging]]).update(write_seq=1)
    host = make_host()
    held(here.revision, host)

    said = sweep()

    assert "1 indexes called to keep up" in said
    assert "knowledge.keep_up" in called(redis_client, f"host.{host.name}.work")


def test_bases_of_people_without_an_engine_leave_the_others_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.sweeper.MAX_BASES", 1)
    waiting, last = make_people(2)
    revision = make_model("chats")
    CatalogModel.objects.filter(pk=revision.model_id).update(role=ModelRole.CHAT)
    EnginePreference.objects.create(user=last, engine=revision.model, revision=revision)
    KnowledgeBase.objects.create(owner=waiting, name="Notes", write_seq=1)
    base = KnowledgeBase.objects.create(owner=last, name="Notes", write_seq=1)

    for _ in range(60):
        sweep()
        if VectorIndex.objects.filter(live_for=base).exists():
            return

    pytest.fail("Of two bases one is looked at each time; it was always the same.")


def test_scheduled_backups_that_ask_an_operator_leave_the_others_their_turn(
    redis_client: Redis,
) -> None:
    make_host()
    *asking, last = make_people(MOST_STARTED + 1)
    set_rule(None, every_hours=24, keep=3)
    assert start_due_backups() == MOST_STARTED
    Step.objects.update(status=StepStatus.NEEDS_OPERATOR)
    Plan.objects.update(created_at=timezone.now() - LONG_AGO)

    assert start_due_backups() == 1

    plans = Plan.objects.filter(kind=PlanKind.BACKUP)
    assert set(plans.values_list("user", flat=True)) == {user.pk for user in [*asking, last]}
    assert plans.count() == MOST_STARTED + 1


def test_a_backup_of_a_time_to_come_puts_off_no_other(redis_client: Redis) -> None:
    make_host()
    (ada,) = make_people(1)
    set_rule(None, every_hours=24, keep=3)
    ahead = timezone.now() + timedelta(days=400)
    Backup.objects.create(
        user=ada, artifact_key="backups/x", sha256="0" * 64, file_size=1, wrapped_key="k"
    )
    Plan.objects.create(kind=PlanKind.BACKUP, user=ada, status="completed")
    Backup.objects.update(created_at=ahead)
    Plan.objects.update(created_at=ahead)

    assert start_due_backups() == 1
