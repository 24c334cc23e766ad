"""``sam check_invariants``: everything that must hold, looked at from outside."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from django.core.management.base import CommandParser

from migrations_app.invariants.check import RULES, check_invariants, own_surroundings
from migrations_app.management.console import SamCommand, parse_options

FOUND = 1
"""Exit status when something is wrong."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    quick: bool
    json: bool


class Command(SamCommand):
    help = (
        "Look at database, artifact store, model files, Redis and logs, and say what is wrong, where, and "
        "what to do. Changes nothing; exits with 1 when something is found."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--quick",
            action="store_true",
            help="Compare sizes, and read neither the artifacts nor all texts.",
        )
        parser.add_argument("--json", action="store_true", help="One JSON object a finding.")

    def run(self, options: Mapping[str, object]) -> None:
        asked = parse_options(CheckOptions, options)
        count = 0
        for rule, finding in check_invariants(own_surroundings(read_files=not asked.quick)):
            count += 1
            if asked.json:
                self.say(json.dumps({"rule": rule, **asdict(finding)}))
            else:
                self.say(f"{finding.where}: {finding.problem}\n    {finding.remedy} [{rule}]")
        if not asked.json:
            self.say(f"{len(RULES)} rules looked at, {count} findings.")
        if count:
            sys.exit(FOUND)
