"""What the commands about one model share: which model, on what, and how long a context."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from django.core.management.base import CommandParser

from engines.fit.memory import CACHE_TYPES, CacheType, Load
from engines.model_manager import DEFAULT_CONTEXT, DOMAINS, RUNTIMES, ModelManager
from migrations_app.management.console import SamCommand

STDIN = "-"


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model to use in this process, and where."""

    model: str
    type: str
    size: str
    domain: str
    folder: str
    server: str
    family: str
    device: str
    context: int
    threads: int

    def manager(self, *, embedder: str = "") -> ModelManager:
        """Return the model that was named; nothing is loaded yet."""
        return ModelManager(
            self.type,
            self.size,
            self.domain,
            model_id=self.model,
            cache_dir=self.folder,
            ollama_host=self.server,
            family=self.family,
            device=self.device,
            context_length=self.context,
            threads=self.threads,
            embedding_model_id=embedder,
        )


@dataclass(frozen=True, slots=True)
class PromptOptions(ModelOptions):
    """What to ask the model, and how it answers; None leaves a setting to the model."""

    prompt: str
    max_tokens: int | None
    temperature: float | None
    seed: int | None

    def sampling(self) -> dict[str, int | float]:
        """Return the settings that were given."""
        given = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What is asked of a machine."""

    context: int
    parallel: int
    cache_type: CacheType
    host: str | None
    json: bool

    def load(self) -> Load:
        """Return what the machine would have to carry."""
        return Load(self.context, self.parallel, self.cache_type)


class ModelCommand(SamCommand):
    """A command that uses one model in this process; it needs no database."""

    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--model", default="", help="A GGUF file, or a model's name.")
        parser.add_argument("--type", choices=sorted(RUNTIMES), default="gguf")
        parser.add_argument("--size", default="", help="A size of Qwen 3, such as qwen3_medium.")
        parser.add_argument("--domain", choices=sorted(filter(None, DOMAINS)), default="general")
        parser.add_argument("--folder", default="", help="Where a file of this size is looked for.")
        parser.add_argument("--server", default="", help="Address of an Ollama or OpenAI server.")
        parser.add_argument("--family", default="", help="Such as qwen, llama or deepseek.")
        parser.add_argument("--device", default="auto")
        parser.add_argument("--context", type=int, default=DEFAULT_CONTEXT, help="Tokens.")
        parser.add_argument("--threads", type=int, default=0, help="0 means all cores.")


class PromptCommand(ModelCommand):
    """A command that asks the model something."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("prompt", help="What to ask; - reads it from the standard input.")
        parser.add_argument("--max-tokens", type=int, help="0 means as many as there is room for.")
        parser.add_argument("--temperature", type=float, help="0 means always the same answer.")
        parser.add_argument("--seed", type=int)
        super().add_arguments(parser)


class FitCommand(SamCommand):
    """A command that judges models for a machine; it needs no database unless it is told a host."""

    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--context", type=int, default=DEFAULT_CONTEXT, help="Tokens.")
        parser.add_argument("--parallel", type=int, default=1, help="Requests at the same time.")
        parser.add_argument("--cache-type", choices=CACHE_TYPES, default="f16")
        parser.add_argument("--host", help="A host of SAM instead of this machine.")
        parser.add_argument("--json", action="store_true", help="Write the answer as JSON.")


def text_of(argument: str) -> str:
    """Return an argument, or the standard input where it is ``-``."""
    return sys.stdin.read() if argument == STDIN else argument
