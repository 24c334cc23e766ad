"""Whether the engines of a plan fit its host at the same time, told before it starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from engines.fit.engine_need import GUESS_FACTOR, SHORTEST_CONTEXT, load_of
from engines.fit.memory import Load
from engines.fit.model_shape import ModelShape
from engines.fit.placement import Placement, Where, place_together
from engines.machine import Machine
from engines.models import ModelRevision, ModelRole
from engines.services.catalog.copies import engine_spec
from engines.services.catalog.fit import machine_of
from engines.services.catalog.shapes import known_shape
from engines.specs import EmbeddingSpec, ModelSource
from migrations_app.models import Plan

GIB = 1024**3
NOWHERE = "/"
"""A path for the spec of an engine that is only thought of."""


@dataclass(frozen=True, slots=True)
class Together:
    """Engines side by side on one host; ``fits`` is None when it has not told its memory."""

    rows: list[dict[str, Any]]
    fits: bool | None


def memory_of(plan: Plan) -> dict[str, Any]:
    """Return the preview's part: each engine's need, where it would go, and whether all fit.

    ``fits_together`` is None when the host has not told its memory.
    """
    wanted = (plan.from_revision, plan.to_revision, plan.embedder_revision)
    machine = machine_of(plan.host) if plan.host else Machine(0, 0)
    found = together([revision for revision in wanted if revision], machine)
    return {
        "memory_needed_bytes": sum(row["needs_bytes"] for row in found.rows),
        "memory_bytes": machine.memory_bytes,
        "vram_bytes": machine.vram_bytes,
        "engines_in_memory": found.rows,
        "fits_together": found.fits,
    }


def together(wanted: Iterable[ModelRevision], machine: Machine) -> Together:
    """Judge engines that are to run at the same time; what a server runs takes nothing here."""
    distinct = {revision.pk: revision for revision in wanted}
    revisions = [r for r in distinct.values() if r.source != ModelSource.SERVER]
    shapes = {revision.pk: known_shape(revision) for revision in revisions}
    judged = [(r, s) for r in revisions if (s := shapes[r.pk]) is not None]
    guessed = [revision for revision in revisions if shapes[revision.pk] is None]
    held = sum(_guessed_bytes(revision) for revision in guessed)
    loads = [(shape, _load(revision, shape)) for revision, shape in judged]
    placements = place_together(loads, _without_memory(machine, held))
    rows = [_row(r, p) for (r, _), p in zip(judged, placements, strict=True)]
    rows += [_guess(revision) for revision in guessed]
    return Together(rows, _fit_together(machine, held, placements))


def not_together(preview: dict[str, Any]) -> str:
    """Return the warning of a preview whose engines do not fit together."""
    needed, has = preview["memory_needed_bytes"] / GIB, preview["memory_bytes"] / GIB
    vram = preview["vram_bytes"] / GIB
    return (
        f"Old and new engine do not fit into the host's memory together: they need {needed:.1f} GiB, "
        f"the host has {has:.1f} GiB and {vram:.1f} GiB on GPUs."
    )


def _load(revision: ModelRevision, shape: ModelShape) -> Load:
    """What SAM runs the engine with: a chatting one over its whole context, shared by all requests."""
    spec = engine_spec(revision, NOWHERE)
    if revision.model.role == ModelRole.EMBEDDING:
        tokens = spec.context_length or shape.context_length or SHORTEST_CONTEXT
        spec = replace(spec, embedding=EmbeddingSpec(dimension=0, max_tokens=tokens))
    return load_of(spec, shape)


def _guessed_bytes(revision: ModelRevision) -> int:
    return int(revision.file_size * GUESS_FACTOR)


def _without_memory(machine: Machine, held: int) -> Machine:
    left = max(machine.memory_bytes - held, 0)
    return Machine(machine.cores, left, machine.gpus, machine.disk_free_bytes)


def _fit_together(machine: Machine, held: int, placements: list[Placement]) -> bool | None:
    if not machine.memory_bytes:
        return None
    return held <= machine.memory_bytes and all(found.fits for found in placements)


def _row(revision: ModelRevision, found: Placement) -> dict[str, Any]:
    return {
        "model_id": revision.model.model_id,
        "needs_bytes": found.estimate.total,
        "where": str(found.where),
        "read_from_header": True,
    }


def _guess(revision: ModelRevision) -> dict[str, Any]:
    return {
        "model_id": revision.model.model_id,
        "needs_bytes": _guessed_bytes(revision),
        "where": str(Where.MEMORY),
        "read_from_header": False,
    }
