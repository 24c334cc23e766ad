"""``manage.py preference``: a person's engine and prompts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from engines.services.catalog.entries import catalog_visible_to
from engines.services.catalog.resolving import pinned_revision
from engines.services.engine_choice import effective_engine
from engines.services.people.preferences import (
    PROMPT_FIELDS,
    choose_preference,
    edit_prompts,
    preference_of,
    prompts_of,
)
from migrations_app.management.console import ActionCommand, person


class Command(ActionCommand):
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

    def do_show(self, user: User) -> None:
        preference = preference_of(user)
        active, _ = effective_engine(user)
        answer = active.model_id if active else None
        shown = {
            "version": preference.version,
            "effective_engine_id": answer,
            "engine_upgrade": preference.engine_upgrade,
        }
        self.say(json.dumps(shown, indent=2))

    def do_choose(self, user: User, engine: str) -> None:
        model = catalog_visible_to(user).filter(model_id=engine).first()
        if model is None:
            raise CommandError(f"{user} may use no engine called {engine!r}.")
        chosen = choose_preference(
            user,
            model,
            pinned_revision(model),
            expected_version=preference_of(user).version,
            why="Chosen on the command line.",
        )
        self.say(f"{user} uses {model.model_id} now (version {chosen.version}).")

    def do_prompts(self, user: User, family: str, options: Mapping[str, object]) -> None:
        edits: dict[str, str | None] = {
            f: str(options[f]) for f in PROMPT_FIELDS if options[f] is not None
        }
        prompts = edit_prompts(user, family, edits) if edits else prompts_of(user, family)
        self.say(json.dumps(asdict(prompts), indent=2, ensure_ascii=False))
