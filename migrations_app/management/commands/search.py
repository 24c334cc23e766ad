"""``manage.py search``: search a person's knowledge by meaning."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engines.exceptions import SamError
from migrations_app.management.console import person
from migrations_app.serving.answers import search_for

MAX_HITS = 50
NO_ENGINE = (
    "No engine is chosen yet, and texts are searched with its help; `sam plan create` chooses one."
)


class Command(BaseCommand):
    help = "Search what a person may read, by meaning."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("query")
        parser.add_argument("--user", required=True, type=person)
        parser.add_argument("-k", type=int, default=5, help="How many passages, at most 50.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["query"].strip() or not 1 <= options["k"] <= MAX_HITS:
            raise CommandError(f"Ask with some words, and for 1 to {MAX_HITS} passages.")
        try:
            found = search_for(options["user"], options["query"], options["k"])
        except SamError as error:
            raise CommandError(str(error)) from error
        for hit in found["hits"]:
            self.stdout.write(f"{hit['score']:.4f}  {hit['title']}  (chunk {hit['chunk_id']})")
            self.stdout.write(f"        {' '.join(hit['text'].split())[:200]}")
        if not found["hits"]:
            self.stdout.write(
                "Nothing was found." if found["engine_id"] else f"Nothing was found. {NO_ENGINE}"
            )
