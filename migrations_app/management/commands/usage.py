"""``manage.py usage``: tokens used, and quotas."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.management.base import CommandParser

from engines.services.people.usage import remove_quota, set_quota, usage_rows
from migrations_app.management.console import ActionCommand, person

DAYS = 7


class Command(ActionCommand):
    help = "Show the tokens that people used, and set how many they may use a day."
    actions_help = {
        "show": "List tokens by person and day.",
        "limit": "Set the tokens a day, of one person or of everybody without a quota.",
        "unlimit": "Take a quota away.",
    }

    def arguments_show(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=DAYS)

    def arguments_limit(self, parser: CommandParser) -> None:
        parser.add_argument("tokens", type=int, help="Tokens a day, in and out together.")
        parser.add_argument("--user", type=person)

    def arguments_unlimit(self, parser: CommandParser) -> None:
        parser.add_argument("--user", type=person)

    def do_show(self, days: int) -> None:
        rows = usage_rows(days)
        self.table(
            ("day", "person", "in", "out", "requests"),
            [(r.day, r.user, r.tokens_in, r.tokens_out, r.requests) for r in rows],
        )

    def do_limit(self, tokens: int, user: User | None) -> None:
        self.say(f"{set_quota(user, tokens)}.")

    def do_unlimit(self, user: User | None) -> None:
        remove_quota(user)
        self.say(f"{user or 'Everybody'}: no quota of their own.")
