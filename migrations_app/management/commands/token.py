"""``manage.py token``: a person's token for the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.management.base import CommandParser
from django.db import transaction
from rest_framework.authtoken.models import Token

from migrations_app.management.console import SamCommand, parse_options, person


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """Whose token."""

    user: User
    renew: bool


class Command(SamCommand):
    help = "Print a person's API token, made at first need."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", type=person)
        parser.add_argument("--renew", action="store_true", help="End the old one and make a new.")

    def run(self, options: Mapping[str, object]) -> None:
        asked = parse_options(TokenOptions, options)
        with transaction.atomic():
            if asked.renew:
                Token.objects.filter(user=asked.user).delete()
            token, _ = Token.objects.get_or_create(user=asked.user)
        self.say(token.key)
