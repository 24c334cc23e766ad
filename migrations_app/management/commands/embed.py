"""``sam embed``: texts as vectors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from django.core.management.base import CommandParser

from migrations_app.management.console import parse_options
from migrations_app.management.model_commands import ModelCommand, ModelOptions, text_of


@dataclass(frozen=True, slots=True)
class EmbedOptions(ModelOptions):
    """What to embed, and with what instead of the model itself."""

    texts: list[str]
    embedder: str


class Command(ModelCommand):
    help = "Write the vector of each text as one line of JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("texts", nargs="+", help="- reads one text from the standard input.")
        parser.add_argument("--embedder", default="", help="A file or name that only embeds.")
        super().add_arguments(parser)

    def run(self, options: Mapping[str, object]) -> None:
        asked = parse_options(EmbedOptions, options)
        texts = [text_of(text) for text in asked.texts]
        with asked.manager(embedder=asked.embedder) as manager:
            for vector in manager.generate_batch_embeddings(texts):
                self.say(json.dumps([round(number, 7) for number in vector]))
