"""``sam recommend``: which models this machine should run, and why not the others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from django.core.management.base import CommandParser

from engines.fit.placement import GIB
from engines.fit.qwen3 import qwen3_models
from engines.fit.recommend import Candidate, Recommendation, hardware_tiers, recommend
from engines.machine import Machine
from engines.models import CatalogModel
from engines.services.catalog.fit import candidates_of
from migrations_app.management.commands.fit import machine_named
from migrations_app.management.console import parse_options
from migrations_app.management.model_commands import FitCommand, FitOptions


@dataclass(frozen=True, slots=True)
class RecommendOptions(FitOptions):
    """Which models are judged, or that only the usual machines are shown."""

    catalog: bool
    tiers: bool


class Command(FitCommand):
    help = "Name the models this machine should run: of the Qwen 3 family, or of the catalog."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--catalog", action="store_true", help="Judge the catalog's models.")
        parser.add_argument("--tiers", action="store_true", help="Show what usual machines run.")
        super().add_arguments(parser)

    def run(self, options: Mapping[str, object]) -> None:
        asked = parse_options(RecommendOptions, options)
        if asked.tiers:
            self._show_tiers()
            return
        machine = machine_named(asked.host)
        judged = recommend(self._candidates(catalog=asked.catalog), machine, asked.load())
        if asked.json:
            answer = {"machine": asdict(machine), "models": [found.as_dict() for found in judged]}
            self.say(json.dumps(answer, indent=2))
            return
        self._show(machine, judged)

    def _candidates(self, *, catalog: bool) -> list[Candidate]:
        if not catalog:
            return [Candidate(model.model_id, model.shape()) for model in qwen3_models()]
        models = CatalogModel.objects.select_related("current_revision")
        candidates, unread = candidates_of(models, read_missing=True)
        for model in unread:
            self.stderr.write(f"{model.model_id}: its file could not be read at the Hub.")
        return candidates

    def _show(self, machine: Machine, judged: Sequence[Recommendation]) -> None:
        gpus = ", ".join(gpu.name for gpu in machine.gpus) or "no GPU"
        self.say(f"{machine.cores} cores, {machine.memory_bytes / GIB:.1f} GiB of memory, {gpus}.")
        rows = [
            (
                found.model_id,
                "yes" if found.recommended else "no",
                found.longest_context,
                found.reason,
            )
            for found in judged
        ]
        self.table(["model", "recommended", "longest context", "why"], rows)

    def _show_tiers(self) -> None:
        rows = [
            (tier, ", ".join(found.model_id for found in models))
            for tier, models in hardware_tiers().items()
        ]
        self.table(["machine", "models"], rows)
