"""``manage.py fallback``: which engine answers for one that cannot be made ready."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from engines.models import EngineFallback, FallbackIncident
from engines.services.catalog.entries import model_get
from engines.services.people.fallbacks import ANY, fallback_set
from migrations_app.management.console import SamCommand

SHOWN = 50


class Command(SamCommand):
    help = "Fallback engines: what answers, and says so, when an engine cannot be made ready."
    actions_help = {
        "set": "Name what answers for an engine, or for any.",
        "remove": "Let an engine's failure be an error again.",
        "list": "Show the rules.",
        "incidents": "Show when an engine answered for another.",
    }

    def _engine(self, parser: CommandParser) -> None:
        parser.add_argument("engine", help=f"The engine that fails; {ANY} means each one.")

    arguments_remove = _engine

    def arguments_set(self, parser: CommandParser) -> None:
        self._engine(parser)
        what = "What answers; without it the engine that each person used before."
        parser.add_argument("answers", nargs="?", help=what)

    def do_set(self, options: dict[str, Any]) -> None:
        engine = None if options["engine"] == ANY else model_get(options["engine"])
        answers = model_get(options["answers"]) if options["answers"] else None
        self.say(f"{fallback_set(engine, answers)}.")

    def do_remove(self, options: dict[str, Any]) -> None:
        engine = None if options["engine"] == ANY else model_get(options["engine"])
        if not EngineFallback.objects.filter(engine=engine).delete()[0]:
            raise CommandError(f"There is no rule for {options['engine']}.")
        self.say("Removed.")

    def do_list(self, options: dict[str, Any]) -> None:
        rules = EngineFallback.objects.select_related("engine", "answers").order_by("engine")
        rows = [str(rule).split(": ", 1) for rule in rules]
        self.table(["engine", "answered by"], rows)

    def do_incidents(self, options: dict[str, Any]) -> None:
        rows = FallbackIncident.objects.select_related("revision__model", "answered_by__model")
        self.table(
            ["engine", "answered by", "from", "to", "reason"],
            [
                (
                    incident.revision,
                    incident.answered_by,
                    f"{incident.began_at:%F %T}",
                    f"{incident.ended_at:%F %T}" if incident.ended_at else "now",
                    incident.reason,
                )
                for incident in rows.order_by("-id")[:SHOWN]
            ],
        )
