"""What plans were about can be deleted with them; what is in use cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from engines.models import EngineDefault
from migrations_app.library import get_model_library_manager
from migrations_app.models import Backup, Plan
from migrations_app.plans.planning import plan_for_file
from migrations_app.plans.revision_needs import RevisionNeededError
from migrations_app.plans.transitions import start_plan
from migrations_app.states import PlanKind, PlanStatus
from tests.plans.hash_world import HashWorld
from worker.steps.runner import StepFailedError


def test_a_person_with_a_backup_and_a_rollback_can_be_deleted(world: HashWorld) -> None:
    world.base("Notes", "some words")
    plan = world.migrated("new")
    world.taken_back(plan)
    Backup.objects.create(
        plan=plan,
        user=world.user,
        artifact_key="backups/aa/x",
        sha256="a" * 64,
        file_size=10,
        wrapped_key="sealed",
        verified_at=timezone.now(),
    )

    world.user.delete()

    assert not User.objects.filter(username="ada").exists()
    assert not Plan.objects.exists()


def test_the_organisations_default_is_not_deleted_under_those_who_chose_nothing(
    world: HashWorld,
) -> None:
    """Also when it became the default after the deletion was asked for."""
    default = world.engine("default")
    plan = plan_for_file(PlanKind.DELETE, default, world.host, actor=None)
    EngineDefault.objects.create(engine=default.model)
    copy = default.copies.get()

    with pytest.raises(RevisionNeededError, match="it is the organisation's default engine"):
        get_model_library_manager().delete_model("default")
    start_plan(plan.pk, who="operator")
    with pytest.raises(StepFailedError):
        world.run(plan)

    plan.refresh_from_db()
    assert plan.status == PlanStatus.FAILED
    assert "choose another default for the organisation first" in plan.error_message
    assert (default.copies.get().status, Path(copy.path).is_file()) == ("downloaded", True)
