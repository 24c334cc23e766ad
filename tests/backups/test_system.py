"""The whole installation into a folder and back: a drill."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "no backup of a system|is of a format": lambda manifest: manifest.update(format="sam-system-9"),
    "is damaged": lambda manifest: manifest.pop("files"),
    "made by a newer SAM": lambda manifest: manifest["migrations"].update(engines="9999_later"),
    "which is not installed": lambda manifest: manifest["migrations"].update(cellar="0001_initial"),
}
"""What is said of a manifest that was changed in a certain way."""


def refuse_wrong_manifests(folder: Path) -> None:
    """Try to put the folder back with each of them; it is as it was then."""
    path = folder / "manifest.json"
    whole = path.read_bytes()
    path.chmod(0o600)
    for sentence, change in WRONG.items():
        manifest = json.loads(whole)
        change(manifest)
        path.write_text(json.dumps(manifest))
        with pytest.raises(CommandError, match=sentence):
            call_command("restore_system", folder)
    path.write_bytes(whole)


def refuse_damage(folder: Path) -> None:
    """Try to put a folder back whose parts are not what they were; it is as it was then."""
    refuse_wrong_manifests(folder)
    sealed = folder / "database.sealed"
    whole = sealed.read_bytes()
    sealed.chmod(0o600)
    sealed.write_bytes(whole[:-1])
    with pytest.raises(CommandError, match="damaged"):
        call_command("restore_system", folder)
    sealed.write_bytes(whole)


def refuse_places_that_cannot_be(tmp_path: Path, data: Path) -> None:
    """Write nothing below a file, nor where it would be lost together with what it saves."""
    (tmp_path / "a-file").touch()
    for place, sentence in (
        (tmp_path / "a-file" / "x", "cannot be written"),
        (data / "x", "lost with it"),
    ):
        with pytest.raises(CommandError, match=sentence):
            call_command("backup_system", place)
        assert not list(place.parent.glob("x*"))


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
    refuse_places_that_cannot_be(tmp_path, settings.SAM_DATA_DIR)
    assert all_rows() == rows
    settings.SAM_ARTIFACT_STORE = str(tmp_path / "new-store")
    call_command("flush", interactive=False, verbosity=0)
    refuse_damage(folder)
    assert not User.objects.exists()
    assert not (tmp_path / "new-store").exists()

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


def test_a_file_that_is_damaged_is_named_and_does_not_keep_the_rest_from_being_saved(
    world: HashWorld, tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    give_belongings(world)
    backup = backed_up(world)
    path = world.store.local_path(backup.artifact_key, tmp_path)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    call_command("backup_system", tmp_path / "system")

    said = capsys.readouterr().out
    assert f"damaged in the store or were deleted meanwhile: {backup.artifact_key}." in said
    settings.SAM_ARTIFACT_STORE = str(tmp_path / "new-store")
    call_command("flush", interactive=False, verbosity=0)

    call_command("restore_system", tmp_path / "system")

    said = capsys.readouterr().out
    assert f"Not in the backup: {backup.artifact_key}." in said
    made_at = json.loads((tmp_path / "system" / "manifest.json").read_bytes())["made_at"]
    assert f"All is as it was on {made_at}" in said
    assert belongings_of(User.objects.get(username="ada"))["messages"]
