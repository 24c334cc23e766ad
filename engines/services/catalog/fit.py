"""Models of the catalog judged for hosts; a shape is read once from a file's first megabytes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

from engines.exceptions import HostUnavailableError, InvalidRequestError, SamError
from engines.fit.memory import CacheType, Load
from engines.fit.model_shape import ModelShape
from engines.fit.placement import Placement, longest_context, place
from engines.fit.recommend import Candidate, Recommendation, recommend
from engines.machine import Gpu, Machine
from engines.models import CatalogModel, CopyStatus, Host, HostStatus, ModelCopy, ModelRole
from engines.services.catalog.copies import remote_file
from engines.services.catalog.entries import pinned_revision
from engines.services.catalog.shapes import known_shape, read_shape, try_to_read_shape

logger = logging.getLogger(__name__)

USUAL_CONTEXT = 8192
"""Tokens asked for when nobody says how many; fewer where the model knows fewer."""


@dataclass(frozen=True, slots=True)
class HostFit:
    """One model's answer for one host; ``longest_context`` in tokens for each request."""

    model: CatalogModel
    host: Host
    load: Load
    placement: Placement
    longest_context: int


@dataclass(frozen=True, slots=True)
class HostRecommendations:
    """Judged models, and those whose shape nobody has read yet."""

    host: Host
    load: Load
    judged: list[Recommendation]
    unread: list[CatalogModel]


def shape_of(model: CatalogModel) -> ModelShape:
    """Return a model's shape, read from the Hub at first need.

    Raises InvalidRequestError for a runtime without model files, UnsafeModelFileError, and what
    asking the Hub raises.
    """
    if model.runtime != CatalogModel.FILE_RUNTIME:
        raise InvalidRequestError(
            f"{model.model_id} runs on {model.runtime}, which places it itself; "
            f"only models of the runtime {CatalogModel.FILE_RUNTIME} are judged."
        )
    revision = pinned_revision(model)
    return known_shape(revision) or read_shape(revision, remote_file(revision))


def fit_on_host(model: CatalogModel, host: Host, load: Load | None = None) -> HostFit:
    """Judge a model for a host; raises what ``shape_of`` raises."""
    shape = shape_of(model)
    asked = load or usual_load(shape)
    machine = machine_of(host)
    return HostFit(
        model, host, asked, place(shape, asked, machine), longest_context(shape, asked, machine)
    )


def recommend_for_host(
    models: Iterable[CatalogModel], host: Host, load: Load
) -> HostRecommendations:
    """Judge chat models for a host; those whose file nobody has read are left out."""
    candidates, unread = candidates_of(models)
    copies = ModelCopy.objects.filter(host=host, status=CopyStatus.DOWNLOADED)
    stored = set(copies.values_list("revision__model__model_id", flat=True))
    placed = [replace(found, is_stored=found.model_id in stored) for found in candidates]
    return HostRecommendations(host, load, recommend(placed, machine_of(host), load), unread)


def candidates_of(
    models: Iterable[CatalogModel], *, read_missing: bool = False
) -> tuple[list[Candidate], list[CatalogModel]]:
    """Return the chat models that can be judged, and those whose file nobody has read."""
    chosen = [
        model
        for model in models
        if model.role == ModelRole.CHAT and model.runtime == CatalogModel.FILE_RUNTIME
    ]
    if read_missing:
        for model in chosen:
            _try_to_read(model)
    known = [(model, known_shape(model.current_revision)) for model in chosen]
    candidates = [Candidate(model.model_id, shape) for model, shape in known if shape]
    return candidates, [model for model, shape in known if shape is None]


def best_host() -> Host:
    """Return the active host with the most GPU memory, then the most memory."""
    hosts = Host.objects.filter(status=HostStatus.ACTIVE)
    host = hosts.order_by("-vram_bytes", "-memory_bytes", "name").first()
    if host is None:
        raise HostUnavailableError(
            "No host is active; start a host's workers (`manage.py up` starts one) and try again."
        )
    return host


def machine_of(host: Host) -> Machine:
    """Return a host's row as a machine; its GPUs share the row's memory evenly."""
    each = host.vram_bytes // max(len(host.gpus), 1)
    gpus = tuple(Gpu(str(name), each) for name in host.gpus)
    return Machine(host.cores, host.memory_bytes, gpus, host.disk_free_bytes)


def usual_load(shape: ModelShape, *, parallel: int = 1, cache_type: CacheType = "f16") -> Load:
    """Return a load of the usual context, or of the model's own when that is shorter."""
    context = min(USUAL_CONTEXT, shape.context_length or USUAL_CONTEXT)
    return Load(context, parallel, cache_type)


def _try_to_read(model: CatalogModel) -> None:
    try:
        revision = pinned_revision(model)
    except SamError as error:
        # One entry the Hub does not answer for must not take the others' answer away.
        logger.warning("%s cannot be resolved: %s", model.model_id, error)
        return
    try_to_read_shape(revision, remote_file(revision))
