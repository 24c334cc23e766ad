"""What plans were about can be deleted with them."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.utils import timezone

from migrations_app.models import Backup, Plan
from tests.plans.hash_world import HashWorld


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
