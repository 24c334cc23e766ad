"""``sam generate``: ask a model and write its answer when it is whole."""

from __future__ import annotations

from typing import Any

from migrations_app.management.model_tasks import GeneratingTask, text_of


class Command(GeneratingTask):
    help = "Ask a model of this machine or of a server; the answer comes when it is whole."

    def run(self, options: dict[str, Any]) -> None:
        with self.manager(options) as manager:
            prompt = text_of(options["prompt"])
            self.say(manager.generate_response(prompt, **self.sampling(options)))
