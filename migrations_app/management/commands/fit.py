"""``sam fit``: will this model run here, before a byte of its weights is fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from engines.exceptions import NotFoundError
from engines.fit.model_shape import ModelShape
from engines.fit.placement import GIB, Placement, longest_context, place
from engines.fit.qwen3 import qwen3_model
from engines.gguf.parts import part_names, read_model_header
from engines.machine import Machine, measure
from engines.services.catalog.entries import get_model
from engines.services.catalog.fit import machine_of, shape_of
from engines.services.catalog.hub import hub_token
from engines.services.hosts import find_host
from engines.transfer.hub import resolve_file
from engines.transfer.model_header import read_remote_model
from migrations_app.management.console import parse_options
from migrations_app.management.model_commands import FitCommand, FitOptions

HUB = "hf:"
FILE = ".gguf"


@dataclass(frozen=True, slots=True)
class ModelFitOptions(FitOptions):
    """Which model is judged."""

    model: str
    revision: str


class Command(FitCommand):
    help = (
        "Say whether a model runs on this machine. MODEL is a GGUF file, hf:owner/name/file.gguf at "
        "the Hub, a size of Qwen 3, or an entry of the catalog."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model")
        parser.add_argument("--revision", default="main", help="Of a file at the Hub.")
        super().add_arguments(parser)

    def run(self, options: Mapping[str, object]) -> None:
        asked = parse_options(ModelFitOptions, options)
        load, machine = asked.load(), machine_named(asked.host)
        shape = _shape(asked.model, asked.revision)
        found = place(shape, load, machine)
        longest = longest_context(shape, load, machine)
        if asked.json:
            answer = {"load": asdict(load), "longest_context": longest, "fit": found.as_dict()}
            self.say(json.dumps(answer, indent=2))
        else:
            self._describe(found, longest)
        if not found.fits:
            raise CommandError("The model does not fit.")

    def _describe(self, found: Placement, longest: int) -> None:
        self.say(found.reason)
        needs = {**asdict(found.estimate), "total": found.estimate.total}
        self.table(["for", "GiB"], [(part, f"{size / GIB:.2f}") for part, size in needs.items()])
        if found.gpu_layers:
            self.say(f"{found.gpu_layers} layers go to the GPU ({found.gpu_bytes / GIB:.2f} GiB).")
        self.say(f"The longest context that fits has {longest} tokens.")
        if not found.is_exact:
            self.say("This architecture's cache is only known from above; it may need less.")


def machine_named(host: str | None) -> Machine:
    """Return this machine, or a host of SAM by its name; NotFoundError when there is none."""
    if host is None:
        return measure(settings.SAM_MODELS_DIR)
    return machine_of(find_host(host))


def _shape(model: str, revision: str) -> ModelShape:
    if model.startswith(HUB):
        return _shape_at_the_hub(model.removeprefix(HUB), revision)
    if model.endswith(FILE):
        return ModelShape.from_header(read_model_header(Path(model)))
    try:
        return qwen3_model(model).shape()
    except NotFoundError:
        return shape_of(get_model(model))


def _shape_at_the_hub(name: str, revision: str) -> ModelShape:
    owner, _, rest = name.partition("/")
    repository, _, filename = rest.partition("/")
    token = hub_token(settings.HF_ENDPOINT)
    remotes = [
        resolve_file(
            f"{owner}/{repository}",
            part,
            revision=revision,
            endpoint=settings.HF_ENDPOINT,
            token=token,
        )
        for part in part_names(filename)
    ]
    return ModelShape.from_header(read_remote_model(remotes, token=token))
