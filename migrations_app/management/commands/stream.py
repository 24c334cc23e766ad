"""``sam stream``: ask a model and write its answer while it comes."""

from __future__ import annotations

from collections.abc import Mapping

from migrations_app.management.console import parse_options
from migrations_app.management.model_commands import PromptCommand, PromptOptions, text_of


class Command(PromptCommand):
    help = "Ask a model of this machine or of a server; the answer is written while it comes."

    def run(self, options: Mapping[str, object]) -> None:
        asked = parse_options(PromptOptions, options)
        with asked.manager() as manager:
            for piece in manager.generate_stream(text_of(asked.prompt), **asked.sampling()):
                self.stdout.write(piece, ending="")
                self.stdout.flush()
        self.say("")
