"""Whether models fit this machine, or a host of SAM."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from engines.exceptions import NotFoundError
from engines.fit.memory import CacheType, Load
from engines.fit.model_shape import ModelShape
from engines.fit.placement import GIB, Placement, longest_context, place
from engines.fit.qwen3 import qwen3_model, qwen3_models
from engines.fit.recommend import Candidate, Recommendation, hardware_tiers, recommend
from engines.gguf.parts import part_names, read_model_header
from engines.machine import Machine, measure
from engines.models import CatalogModel
from engines.services.catalog.entries import get_model
from engines.services.catalog.fit import candidates_of, machine_of, shape_of
from engines.services.catalog.hub import hub_token
from engines.services.catalog.hub_search import choose_hub_file, list_hub_files
from engines.services.hosts import find_host
from engines.transfer.hub import resolve_file
from engines.transfer.hub_place import HubPlace, is_hub_address
from engines.transfer.model_header import read_remote_model

FILE = ".gguf"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where one model would run, and how long a context fits."""

    load: Load
    placement: Placement
    longest: int

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "load": asdict(self.load),
            "longest_context": self.longest,
            "fit": self.placement.as_dict(),
        }

    def needs(self) -> list[tuple[str, str]]:
        """Return what takes how much memory, in GiB."""
        estimate = self.placement.estimate
        needs = {**asdict(estimate), "total": estimate.total}
        return [(part, f"{size / GIB:.2f}") for part, size in needs.items()]

    def remarks(self) -> list[str]:
        """Return what else there is to know, a sentence each."""
        found = self.placement
        said = []
        if found.gpu_layers:
            gib = f"{found.gpu_bytes / GIB:.2f}"
            said.append(f"{found.gpu_layers} layers go to the GPU ({gib} GiB).")
        said.append(f"The longest context that fits has {self.longest} tokens.")
        if not found.is_exact:
            said.append("This architecture's cache is only known from above; it may need less.")
        return said


@dataclass(frozen=True, slots=True)
class Advice:
    """Which models a machine should run, and why not the others."""

    machine: Machine
    judged: list[Recommendation]
    unread: list[str]
    """Models whose file could not be read at the Hub."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        models = [found.as_dict() for found in self.judged]
        return {"machine": asdict(self.machine), "models": models}

    def about_machine(self) -> str:
        """Return a sentence about the machine."""
        gpus = ", ".join(gpu.name for gpu in self.machine.gpus) or "no GPU"
        gib = self.machine.memory_bytes / GIB
        return f"{self.machine.cores} cores, {gib:.1f} GiB of memory, {gpus}."

    def rows(self) -> list[tuple[str, str, int, str]]:
        """Return a line for each model."""
        return [
            (one.model_id, "yes" if one.recommended else "no", one.longest_context, one.reason)
            for one in self.judged
        ]


def load_of(context: int, parallel: int, cache_type: CacheType) -> Load:
    """Return what the machine would have to carry."""
    return Load(context, parallel, cache_type)


def judge(model: str, revision: str, load: Load, host: str | None) -> Judgement:
    """Judge one model by its header; NotFoundError for a model or host that is not there."""
    machine = _machine_named(host)
    shape = _shape_of(model, revision, machine)
    return Judgement(load, place(shape, load, machine), longest_context(shape, load, machine))


def recommend_for(host: str | None, load: Load, *, catalog: bool) -> Advice:
    """Judge the Qwen 3 family, or the catalog, for a machine."""
    machine = _machine_named(host)
    candidates = [Candidate(model.model_id, model.shape()) for model in qwen3_models()]
    unread: list[str] = []
    if catalog:
        models = CatalogModel.objects.select_related("current_revision")
        candidates, missing = candidates_of(models, read_missing=True)
        unread = [model.model_id for model in missing]
    return Advice(machine, list(recommend(candidates, machine, load)), unread)


def tiers() -> list[tuple[str, str]]:
    """Return usual machines with what they run."""
    return [
        (tier, ", ".join(found.model_id for found in models))
        for tier, models in hardware_tiers().items()
    ]


def _machine_named(host: str | None) -> Machine:
    if host is None:
        return measure(settings.SAM_MODELS_DIR)
    return machine_of(find_host(host))


def _shape_of(model: str, revision: str, machine: Machine) -> ModelShape:
    if is_hub_address(model, settings.HF_ENDPOINT):
        named = HubPlace.parse(model, settings.HF_ENDPOINT)
        return _shape_at_the_hub(replace(named, revision=revision or named.revision), machine)
    if model.endswith(FILE):
        return ModelShape.from_header(read_model_header(Path(model)))
    try:
        return qwen3_model(model).shape()
    except NotFoundError:
        return shape_of(get_model(model))


def _shape_at_the_hub(named: HubPlace, machine: Machine) -> ModelShape:
    filename = named.filename
    if not filename.endswith(FILE):
        filename = choose_hub_file(named, list_hub_files(named, [machine]))
    if not filename:
        raise NotFoundError(f"{named.repo} has no GGUF model that is whole there; name another.")
    token = hub_token(settings.HF_ENDPOINT)
    remotes = [
        resolve_file(
            named.repo,
            part,
            revision=named.revision,
            endpoint=settings.HF_ENDPOINT,
            token=token,
        )
        for part in part_names(filename)
    ]
    return ModelShape.from_header(read_remote_model(remotes, token=token))
