"""``manage.py search``: search a person's knowledge by meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from migrations_app.management.console import SamCommand, parse_options, person
from migrations_app.serving.answers import search_for

MAX_HITS = 50
NO_ENGINE = (
    "No engine is chosen yet, and texts are searched with its help; `sam plan create` chooses one."
)


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What is asked, for whom, and for how many passages."""

    query: str
    user: User
    k: int


class Command(SamCommand):
    help = "Search what a person may read, by meaning."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("query")
        parser.add_argument("--user", required=True, type=person)
        parser.add_argument("-k", type=int, default=5, help="How many passages, at most 50.")

    def run(self, options: Mapping[str, object]) -> None:
        asked = parse_options(SearchOptions, options)
        if not asked.query.strip() or not 1 <= asked.k <= MAX_HITS:
            raise CommandError(f"Ask with some words, and for 1 to {MAX_HITS} passages.")
        found = search_for(asked.user, asked.query, asked.k)
        for hit in found.hits:
            self.say(f"{hit.score:.4f}  {hit.title}  (chunk {hit.chunk_id})")
            self.say(f"        {' '.join(hit.text.split())[:200]}")
        if not found.hits:
            self.say("Nothing was found." if found.engine_id else f"Nothing was found. {NO_ENGINE}")
