"""The whole installation into a folder and back: a drill."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from engines.models import KnowledgeBase
from migrations_app.models import Backup, Plan
from tests.backups.belongings import TEXTS, belongings_of, give_belongings
from tests.backups.test_restore import backed_up
from tests.plans.hash_world import HashWorld, all_rows


def test_an_installation_is_put_back_as_it_was(
    world: HashWorld, tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    give_belongings(world)
    backed_up(world)
    rows, shown, folder = all_rows(), belongings_of(world.user), tmp_path / "system"

    call_command("backup_system", folder)

    assert TEXTS[0].encode() not in (folder / "database.sealed").read_bytes()
    for refused in (
        ["backup_system", folder],
        ["restore_system", folder],
        ["restore_system", tmp_path],
    ):
        with pytest.raises(CommandError, match=r"there already|has people already|is no backup"):
            call_command(str(refused[0]), refused[1])
    assert all_rows() == rows
    settings.SAM_ARTIFACT_STORE = str(tmp_path / "new-store")
    call_command("flush", interactive=False, verbosity=0)
    sealed = folder / "database.sealed"
    whole = sealed.read_bytes()
    sealed.chmod(0o600)
    sealed.write_bytes(whole[:-1])
    with pytest.raises(CommandError, match="damaged"):
        call_command("restore_system", folder)
    assert not User.objects.exists()
    assert not (tmp_path / "new-store").exists()
    sealed.write_bytes(whole)

    call_command("restore_system", folder)

    assert all_rows() == rows
    ada = User.objects.get(username="ada")
    assert belongings_of(ada) == shown
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname = 'sam_audit'")
        assert cursor.fetchone()[0] > 10
    world.store = type(world.store)(settings.SAM_ARTIFACT_STORE)
    assert world.found(KnowledgeBase.objects.get(), TEXTS[1])[0] == TEXTS[1]
    assert all(
        world.store.exists(key) for key in Backup.objects.values_list("artifact_key", flat=True)
    )
    assert Plan.objects.exists()
