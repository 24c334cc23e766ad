"""``manage.py token``: tokens of a person for the API, made, listed and ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from engines.models import ApiToken, TokenScope
from engines.services.people.tokens import create_token, end_tokens
from migrations_app.management.console import SamCommand, parse_options, person

NAME = "command line"
MAX_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """Whose token, and what becomes of it; ``end`` names one of the list."""

    user: User
    name: str
    scope: str
    days: int
    renew: bool
    list: bool
    end: int | None


class Command(SamCommand):
    help = "Print a new API token of a person; its key is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", type=person)
        parser.add_argument("--name", default=NAME, help="What it is for.")
        parser.add_argument("--scope", choices=TokenScope.values, default=TokenScope.ALL.value)
        parser.add_argument("--days", type=int, default=0, help="Days until it ends; 0: never.")
        parser.add_argument("--renew", action="store_true", help="End all earlier ones first.")
        parser.add_argument("--list", action="store_true", help="List the person's, make none.")
        parser.add_argument("--end", type=int, metavar="ID", help="End one of the list, make none.")

    def run(self, options: Mapping[str, object]) -> None:
        asked = parse_options(TokenOptions, options)
        if asked.list:
            self._list(asked.user)
        elif asked.end is not None:
            self._end(asked.user, asked.end)
        else:
            self._make(asked)

    def _list(self, user: User) -> None:
        rows = ApiToken.objects.filter(user=user)
        self.table(
            ("id", "name", "scope", "made", "ends", "last used"),
            (
                (row.pk, row.name, row.scope, row.created_at, row.expires_at, row.last_used_at)
                for row in rows
            ),
        )

    def _end(self, user: User, token_id: int) -> None:
        ended, _ = ApiToken.objects.filter(user=user, pk=token_id).delete()
        if not ended:
            raise CommandError(f"{user.get_username()} has no token {token_id}; see --list.")
        self.say("Ended.")

    def _make(self, asked: TokenOptions) -> None:
        if not 0 <= asked.days <= MAX_DAYS:
            raise CommandError(f"--days is a whole number from 0 to {MAX_DAYS}.")
        if asked.renew:
            end_tokens(asked.user)
        made = create_token(asked.user, asked.name, scope=TokenScope(asked.scope), days=asked.days)
        self.say(made.key)
