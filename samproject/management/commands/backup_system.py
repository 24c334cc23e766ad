"""``manage.py backup_system DIR``: the whole installation into one folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.core.management.base import CommandParser

from migrations_app.management.console import SamCommand, parse_options
from samproject.system_backup import back_system_up

MIB = 2**20


@dataclass(frozen=True, slots=True)
class FolderOption:
    """Where the backup lies."""

    folder: Path


class Command(SamCommand):
    help = (
        "Write the database, sealed by the backup key, and the files that it names into a new folder, "
        "while SAM runs. SECRET_KEY and SAM_BACKUP_KEY are not in it: keep them elsewhere."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add where to."""
        parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that is not there")

    def run(self, options: Mapping[str, object]) -> None:
        folder = parse_options(FolderOption, options).folder
        done = back_system_up(folder)
        self.say(
            f"Written to {folder}: the database and {done.files} files, {done.bytes / MIB:.1f} MiB."
        )
        if done.missing:
            self.say(
                f"Left out, for they are damaged in the store or were deleted meanwhile: "
                f"{', '.join(done.missing)}. `manage.py check_invariants` names those that are needed."
            )
