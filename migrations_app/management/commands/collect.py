"""``sam collect``: remove what nobody needs any more, or say what that would be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from django.core.management.base import CommandParser

from engines.exceptions import ConflictError
from migrations_app.collection.collect import Collected, collect, own_place, sum_of, survey
from migrations_app.management.console import SamCommand, parse_options


@dataclass(frozen=True, slots=True)
class CollectOptions:
    dry_run: bool
    json: bool


class Command(SamCommand):
    help = (
        "Remove what nobody needs any more: replaced index files, vectors of deleted texts, unfinished "
        "downloads, old plans … Workers do it once an hour; running it beside them does no harm."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="Only say what would go and how many bytes."
        )
        parser.add_argument("--json", action="store_true", help="One JSON object.")

    def run(self, options: Mapping[str, object]) -> None:
        asked = parse_options(CollectOptions, options)
        found = survey(own_place()) if asked.dry_run else collect(own_place())
        if found is None:
            raise ConflictError("Another collector is at work; nothing was done.")
        if asked.json:
            parts = {one.rule.name: [one.amount.count, one.amount.size] for one in found}
            self.say(json.dumps(parts))
            return
        self.table(("what", "count", "bytes", "rule"), [_row(one) for one in found])
        total = sum_of(found)
        verb = "would be removed" if asked.dry_run else "removed"
        self.say(f"{total.count} things {verb}, {total.size} bytes.")


def _row(one: Collected) -> tuple[str, int, int, str]:
    return one.rule.name, one.amount.count, one.amount.size, one.rule.why
