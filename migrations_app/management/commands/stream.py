"""``sam stream``: ask a model and write its answer while it comes."""

from __future__ import annotations

from typing import Any

from migrations_app.management.model_tasks import GeneratingTask, text_of


class Command(GeneratingTask):
    help = "Ask a model of this machine or of a server; the answer is written while it comes."

    def run(self, options: dict[str, Any]) -> None:
        with self.manager(options) as manager:
            prompt = text_of(options["prompt"])
            for piece in manager.generate_stream(prompt, **self.sampling(options)):
                self.stdout.write(piece, ending="")
                self.stdout.flush()
        self.say("")
