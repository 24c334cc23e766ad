"""``manage.py preference``: a person's engine and prompts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from engines.services.catalog.entries import catalog_visible_to
from engines.services.catalog.resolving import pinned_revision
from engines.services.people.preferences import (
    PROMPT_FIELDS,
    effective_engine,
    preference_choose,
    preference_of,
    prompts_edit,
    prompts_of,
)
from migrations_app.management.console import SamCommand, person


class Command(SamCommand):
    help = "A person's active engine and prompts."
    actions_help = {
        "show": "Show the engine_upgrade settings.",
        "choose": "Choose an engine at once, when nothing has to move along.",
        "prompts": "Show or edit the prompts of one family.",
    }

    def arguments_show(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, type=person)

    def arguments_choose(self, parser: CommandParser) -> None:
        parser.add_argument("engine")
        parser.add_argument("--user", required=True, type=person)

    def arguments_prompts(self, parser: CommandParser) -> None:
        parser.add_argument("family")
        parser.add_argument("--user", required=True, type=person)
        for field in PROMPT_FIELDS:
            parser.add_argument(f"--{field.replace('_', '-')}", dest=field)

    def do_show(self, options: dict[str, Any]) -> None:
        preference = preference_of(options["user"])
        engine, _ = effective_engine(options["user"])
        answer = engine.model_id if engine else None
        shown = {
            "version": preference.version,
            "effective_engine_id": answer,
            "engine_upgrade": preference.engine_upgrade,
        }
        self.say(json.dumps(shown, indent=2))

    def do_choose(self, options: dict[str, Any]) -> None:
        user = options["user"]
        engine = catalog_visible_to(user).filter(model_id=options["engine"]).first()
        if engine is None:
            raise CommandError(f"{user} may use no engine called {options['engine']!r}.")
        chosen = preference_choose(
            user,
            engine,
            pinned_revision(engine),
            expected_version=preference_of(user).version,
            why="Chosen on the command line.",
        )
        self.say(f"{user} uses {engine.model_id} now (version {chosen.version}).")

    def do_prompts(self, options: dict[str, Any]) -> None:
        user, family = options["user"], options["family"]
        edits = {f: options[f] for f in PROMPT_FIELDS if options[f] is not None}
        prompts = prompts_edit(user, family, edits) if edits else prompts_of(user, family)
        self.say(json.dumps(asdict(prompts), indent=2, ensure_ascii=False))
