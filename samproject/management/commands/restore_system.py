"""``manage.py restore_system DIR``: what ``backup_system`` wrote, into an installation without people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from django.core.management.base import CommandParser

from migrations_app.backups import find_backups
from migrations_app.management.console import SamCommand, parse_options
from samproject.management.commands.backup_system import MIB, FolderOption
from samproject.system_backup import put_system_back


class Command(SamCommand):
    help = (
        "Put a folder of backup_system back. The database may have no people yet, and web and workers "
        "must not run: start the servers alone with `manage.py up --services-only`."
    )

    # The tables may not be there yet.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add where from."""
        parser.add_argument("folder", type=Path, metavar="DIR", help="what backup_system wrote")

    def run(self, options: Mapping[str, object]) -> None:
        done = put_system_back(parse_options(FolderOption, options).folder)
        self.say(f"Put back: the database and {done.files} files, {done.bytes / MIB:.1f} MiB.")
        self.say(
            f"All is as it was on {done.made_at}: whom you deleted or deactivated and what you revoked since "
            "then is there again. Do that again before people come in."
        )
        if done.missing:
            self.say(f"Not in the backup: {', '.join(done.missing)}.")
        later = find_backups().backups
        if later:
            self.say(
                f"{len(later)} backups of people in the store are younger than this; `sam backup list` "
                "shows them."
            )
