"""``manage.py fallback``: which engine answers for one that cannot be made ready."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from engines.models import CatalogModel, EngineFallback, FallbackIncident
from engines.services.catalog.entries import get_model
from engines.services.people.fallbacks import ANY, set_fallback
from migrations_app.management.console import ActionCommand

SHOWN = 50


class Command(ActionCommand):
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

    def do_set(self, engine: str, answers: str | None) -> None:
        answering = get_model(answers) if answers else None
        self.say(f"{set_fallback(_engine(engine), answering)}.")

    def do_remove(self, engine: str) -> None:
        if not EngineFallback.objects.filter(engine=_engine(engine)).delete()[0]:
            raise CommandError(f"There is no rule for {engine}.")
        self.say("Removed.")

    def do_list(self) -> None:
        rules = EngineFallback.objects.select_related("engine", "answers").order_by("engine")
        rows = [str(rule).split(": ", 1) for rule in rules]
        self.table(["engine", "answered by"], rows)

    def do_incidents(self) -> None:
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


def _engine(name: str) -> CatalogModel | None:
    return None if name == ANY else get_model(name)
