"""``sam generate``: ask a model and write its answer when it is whole."""

from __future__ import annotations

from collections.abc import Mapping

from migrations_app.management.console import parse_options
from migrations_app.management.model_commands import PromptCommand, PromptOptions, text_of


class Command(PromptCommand):
    help = "Ask a model of this machine or of a server; the answer comes when it is whole."

    def run(self, options: Mapping[str, object]) -> None:
        asked = parse_options(PromptOptions, options)
        with asked.manager() as manager:
            self.say(manager.generate_response(text_of(asked.prompt), **asked.sampling()))
