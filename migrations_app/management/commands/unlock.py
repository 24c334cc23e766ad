"""``manage.py unlock``: let a name sign in again that was locked after failures."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from migrations_app.limits.sign_in import unlock


class Command(BaseCommand):
    help = "Let a user name sign in again at once after failed sign-ins."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        had_failures = unlock(options["username"])
        self.stdout.write("Unlocked." if had_failures else "There were no failed sign-ins.")
