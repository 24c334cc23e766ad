"""What the commands about one model share: which model, on what, and how long a context."""

from __future__ import annotations

import abc
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from engines.exceptions import SamError
from engines.fit.memory import CACHE_TYPES, Load
from engines.model_manager import DOMAINS, RUNTIMES, USUAL_CONTEXT, ModelManager
from migrations_app.management.console import SamCommand

STDIN = "-"


class SamTask(SamCommand, abc.ABC):
    """A command that does one thing, in ``run``; it needs no database unless it says so."""

    actions_help = {}
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.run(options)
        except SamError as error:
            raise CommandError(str(error)) from error

    @abc.abstractmethod
    def run(self, options: dict[str, Any]) -> None:
        """Do it; a SamError becomes the command's last words."""


class ModelTask(SamTask):
    """A command that uses one model in this process."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--model", default="", help="A GGUF file, or a model's name.")
        parser.add_argument("--type", choices=sorted(RUNTIMES), default="gguf")
        parser.add_argument("--size", default="", help="A size of Qwen 3, such as qwen3_medium.")
        parser.add_argument("--domain", choices=sorted(filter(None, DOMAINS)), default="general")
        parser.add_argument("--folder", default="", help="Where a file of this size is looked for.")
        parser.add_argument("--server", default="", help="Address of an Ollama or OpenAI server.")
        parser.add_argument("--family", default="", help="Such as qwen, llama or deepseek.")
        parser.add_argument("--device", default="auto")
        parser.add_argument("--context", type=int, default=USUAL_CONTEXT, help="Tokens.")
        parser.add_argument("--threads", type=int, default=0, help="0 means all cores.")

    def manager(self, options: dict[str, Any], **more: Any) -> ModelManager:
        """Return the model that was named; nothing is loaded yet."""
        return ModelManager(
            options["type"],
            options["size"],
            options["domain"],
            model_id=options["model"],
            cache_dir=options["folder"],
            ollama_host=options["server"],
            family=options["family"],
            device=options["device"],
            context_length=options["context"],
            threads=options["threads"],
            **more,
        )


class GeneratingTask(ModelTask):
    """A command that asks the model something."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("prompt", help="What to ask; - reads it from the standard input.")
        parser.add_argument("--max-tokens", type=int, help="0 means as many as there is room for.")
        parser.add_argument("--temperature", type=float, help="0 means always the same answer.")
        parser.add_argument("--seed", type=int)
        super().add_arguments(parser)

    def sampling(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options that were given."""
        names = ("max_tokens", "temperature", "seed")
        return {name: options[name] for name in names if options[name] is not None}


class FitTask(SamTask):
    """A command that judges models for a machine."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--context", type=int, default=USUAL_CONTEXT, help="Tokens.")
        parser.add_argument("--parallel", type=int, default=1, help="Requests at the same time.")
        parser.add_argument("--cache-type", choices=CACHE_TYPES, default="f16")
        parser.add_argument("--host", help="A host of SAM instead of this machine.")
        parser.add_argument("--json", action="store_true", help="Write the answer as JSON.")

    def load(self, options: dict[str, Any]) -> Load:
        """Return what was asked for."""
        return Load(options["context"], options["parallel"], options["cache_type"])


def text_of(argument: str) -> str:
    """Return an argument, or the standard input where it is ``-``."""
    return sys.stdin.read() if argument == STDIN else argument
