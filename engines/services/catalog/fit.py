"""Models of the catalog judged for hosts; a shape is read once from a file's first megabytes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypedDict

from engines.exceptions import HostUnavailableError, InvalidRequestError, SamError
from engines.fit.engine_need import GUESS_FACTOR, load_of
from engines.fit.known_architectures import require_known
from engines.fit.memory import CacheType, Load
from engines.fit.model_shape import ModelShape
from engines.fit.placement import (
    Placement,
    Where,
    longest_context,
    place,
    place_together,
    room_of,
)
from engines.fit.recommend import Candidate, Recommendation, is_slow, recommend
from engines.machine import Gpu, Machine
from engines.models import (
    CatalogModel,
    CopyStatus,
    Host,
    HostStatus,
    ModelCopy,
    ModelRevision,
    ModelRole,
)
from engines.runtime_names import GGUF_RUNTIMES
from engines.services.catalog.copies import engine_spec, free_disk_of, remote_files, text_limit
from engines.services.catalog.resolving import find_unedited_revision, pinned_revision
from engines.services.catalog.shapes import known_shape, read_shape, try_to_read_shape
from engines.specs import DEFAULT_POOLING, RANK_POOLING, EmbeddingSpec, ModelSource

logger = logging.getLogger(__name__)

DEFAULT_CONTEXT = 8192
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
    if model.runtime not in GGUF_RUNTIMES:
        known = " and ".join(sorted(GGUF_RUNTIMES))
        raise InvalidRequestError(
            f"{model.model_id} runs on {model.runtime}, which places it itself; "
            f"only models of the runtimes {known} are judged."
        )
    revision = pinned_revision(model)
    shape = known_shape(revision) or read_shape(revision, remote_files(revision))
    require_known(shape.architecture, model.runtime)
    return shape


def fit_on_host(model: CatalogModel, host: Host, load: Load | None = None) -> HostFit:
    """Judge a model for a host; raises what ``shape_of`` raises."""
    shape = shape_of(model)
    machine = machine_of(host)
    asked = load or _usual_load(model, shape, machine)
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
        model for model in models if model.role == ModelRole.CHAT and model.runtime in GGUF_RUNTIMES
    ]
    if read_missing:
        for model in chosen:
            _try_to_read(model)
    known = [(model, known_shape(find_unedited_revision(model))) for model in chosen]
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
    """Return a host's row as a machine, within its limits; its GPUs share the row's memory evenly."""
    each = host.vram_bytes // max(len(host.gpus), 1)
    gpus = tuple(Gpu(str(name), each) for name in host.gpus)
    most = host.parsed_limits().memory_bytes
    memory = min(host.memory_bytes, most) if most else host.memory_bytes
    return Machine(host.cores, memory, gpus, free_disk_of(host))


def default_load(shape: ModelShape, *, parallel: int = 1, cache_type: CacheType = "f16") -> Load:
    """Return a load of the default context, or of the model's own when that is shorter."""
    context = min(DEFAULT_CONTEXT, shape.context_length or DEFAULT_CONTEXT)
    return Load(context, parallel, cache_type)


def _usual_load(model: CatalogModel, shape: ModelShape, machine: Machine) -> Load:
    """Return what SAM runs an embedder with, and of an engine that chats the default context."""
    if model.role == ModelRole.CHAT:
        return default_load(shape)
    return _load(pinned_revision(model), shape, machine)


def _try_to_read(model: CatalogModel) -> None:
    try:
        revision = pinned_revision(model)
    except SamError as error:
        # One entry the Hub does not answer for must not take the others' answer away.
        logger.warning("%s cannot be resolved: %s", model.model_id, error)
        return
    try_to_read_shape(revision, remote_files(revision))


NOWHERE = "/"
"""A path for the spec of an engine that is only thought of."""


class EngineNeed(TypedDict):
    """What one engine needs of a host, and where it would go."""

    model_id: str
    needs_bytes: int
    where: str
    read_from_header: bool
    """False: guessed from the file's size."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One engine alone on one host; ``fits`` is None when either has not told what it needs or has."""

    fits: bool | None
    where: str
    """A ``Where``; empty for what a server runs."""
    needs_bytes: int
    has_bytes: int
    """Of memory and GPUs, for engines."""
    is_slow: bool = False
    """Whether each token is expected to take longer than people read."""
    is_guessed: bool = False
    """Whether the need was guessed from the file's size: nobody has read what is in it."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Engines side by side on one host; ``fits`` is None when it has not told its memory."""

    needs: list[EngineNeed]
    fits: bool | None


def judge_alone(model: CatalogModel, revision: ModelRevision | None, machine: Machine) -> Judgement:
    """Judge an engine for a machine on which nothing else runs; ``revision`` None is not resolved yet."""
    room = room_of(machine)
    has = room.memory + room.vram
    if model.source == ModelSource.SERVER:
        return Judgement(fits=True, where="", needs_bytes=0, has_bytes=has)
    shape = known_shape(revision)
    if revision is None or shape is None:
        counted = _counted_bytes(revision)
        needs = _needed_bytes(revision) if revision else int(model.file_size * GUESS_FACTOR)
        known = bool(needs and machine.memory_bytes)
        fits = needs <= room.memory + room.vram if known else None
        return Judgement(fits, str(Where.MEMORY), needs, has, is_guessed=not counted)
    found = place(shape, _load(revision, shape, machine), machine)
    return Judgement(
        found.fits if machine.memory_bytes else None,
        str(found.where),
        found.estimate.total,
        has,
        is_slow=found.fits and is_slow(shape, found),
    )


def fit_side_by_side(wanted: Iterable[ModelRevision], machine: Machine) -> SideBySide:
    """Judge engines that are to run at the same time; what a server runs takes nothing here."""
    distinct = {revision.pk: revision for revision in wanted}
    revisions = [r for r in distinct.values() if r.source != ModelSource.SERVER]
    shapes = {revision.pk: known_shape(revision) for revision in revisions}
    judged = [(r, s) for r in revisions if (s := shapes[r.pk]) is not None]
    shapeless = [revision for revision in revisions if shapes[revision.pk] is None]
    held = sum(_needed_bytes(revision) for revision in shapeless)
    loads = [(shape, _load(revision, shape, machine)) for revision, shape in judged]
    placements = place_together(loads, _without_memory(machine, held))
    needs = [_need(r, p) for (r, _), p in zip(judged, placements, strict=True)]
    needs += [_need_without_shape(revision) for revision in shapeless]
    return SideBySide(needs, _all_fit(machine, held, placements))


def _load(revision: ModelRevision, shape: ModelShape, machine: Machine) -> Load:
    """What SAM runs the engine with: a chatting one over its whole context, shared by all requests."""
    spec = engine_spec(revision, NOWHERE)
    if revision.model.role != ModelRole.CHAT:
        tokens = text_limit(revision.model, spec.context_length or shape.context_length)
        pooling = RANK_POOLING if revision.model.role == ModelRole.RANK else DEFAULT_POOLING
        embedding = EmbeddingSpec(dimension=0, max_tokens=tokens, pooling=pooling)
        spec = replace(spec, embedding=embedding)
    return load_of(spec, shape, machine)


def _counted_bytes(revision: ModelRevision | None) -> int:
    """Return what a folder's tensors take, as a host counted them; 0 where none has, or of a file."""
    return int(revision.facts.get("resident_bytes", 0)) if revision is not None else 0


def _needed_bytes(revision: ModelRevision) -> int:
    return _counted_bytes(revision) or int(revision.file_size * GUESS_FACTOR)


def _without_memory(machine: Machine, held: int) -> Machine:
    left = max(machine.memory_bytes - held, 0)
    return Machine(machine.cores, left, machine.gpus, machine.disk_free_bytes)


def _all_fit(machine: Machine, held: int, placements: list[Placement]) -> bool | None:
    if not machine.memory_bytes:
        return None
    return held <= machine.memory_bytes and all(found.fits for found in placements)


def _need(revision: ModelRevision, found: Placement) -> EngineNeed:
    return {
        "model_id": revision.model.model_id,
        "needs_bytes": found.estimate.total,
        "where": str(found.where),
        "read_from_header": True,
    }


def _need_without_shape(revision: ModelRevision) -> EngineNeed:
    return {
        "model_id": revision.model.model_id,
        "needs_bytes": _needed_bytes(revision),
        "where": str(Where.MEMORY),
        "read_from_header": bool(_counted_bytes(revision)),
    }
