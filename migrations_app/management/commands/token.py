"""``manage.py token``: a person's token for the API."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from rest_framework.authtoken.models import Token

from migrations_app.management.console import person


class Command(BaseCommand):
    help = "Print a person's API token, made at first need."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", type=person)
        parser.add_argument("--renew", action="store_true", help="End the old one and make a new.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = options["user"]
        with transaction.atomic():
            if options["renew"]:
                Token.objects.filter(user=user).delete()
            token, _ = Token.objects.get_or_create(user=user)
        self.stdout.write(token.key)
