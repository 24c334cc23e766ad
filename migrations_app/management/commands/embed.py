"""``sam embed``: texts as vectors."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser

from migrations_app.management.model_tasks import ModelTask, text_of


class Command(ModelTask):
    help = "Write the vector of each text as one line of JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("texts", nargs="+", help="- reads one text from the standard input.")
        parser.add_argument("--embedder", default="", help="A file or name that only embeds.")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        texts = [text_of(text) for text in options["texts"]]
        with self.manager(options, embedding_model_id=options["embedder"]) as manager:
            for vector in manager.generate_batch_embeddings(texts):
                self.say(json.dumps([round(number, 7) for number in vector]))
