"""Whether the engines of a plan fit its host at the same time, told before it starts."""

from __future__ import annotations

from typing import Any

from engines.fit.memory import Load
from engines.fit.model_shape import ModelShape
from engines.fit.placement import Placement, Where, place_together
from engines.machine import Machine
from engines.models import ModelRevision, ModelRole
from engines.services.fit import machine_of
from engines.services.shapes import known_shape
from migrations_app.models import Plan

GIB = 1024**3
MEMORY_FACTOR = 1.2
"""Memory of a loaded model over its file's size, for a file whose header nobody has read."""
EMBEDDING_CONTEXT = 512
"""Tokens an embedder computes at once."""


def memory_of(plan: Plan) -> dict[str, Any]:
    """Return the preview's part: each engine's need, where it would go, and whether all fit.

    ``fits_together`` is None when the host has not told its memory.
    """
    revisions = _revisions(plan)
    machine = machine_of(plan.host) if plan.host else Machine(0, 0)
    shapes = {revision.pk: known_shape(revision) for revision in revisions}
    judged = [(r, s) for r in revisions if (s := shapes[r.pk]) is not None]
    guessed = [revision for revision in revisions if shapes[revision.pk] is None]
    held = sum(int(revision.file_size * MEMORY_FACTOR) for revision in guessed)
    wanted = [(shape, _load(revision, shape)) for revision, shape in judged]
    placements = place_together(wanted, _without_memory(machine, held))
    rows = [_row(r, p) for (r, _), p in zip(judged, placements, strict=True)]
    rows += [_guess(revision) for revision in guessed]
    return {
        "memory_needed_bytes": sum(row["needs_bytes"] for row in rows),
        "memory_bytes": machine.memory_bytes,
        "vram_bytes": machine.vram_bytes,
        "engines_in_memory": rows,
        "fits_together": _fit_together(machine, held, placements),
    }


def not_together(preview: dict[str, Any]) -> str:
    """Return the warning of a preview whose engines do not fit together."""
    needed, has = preview["memory_needed_bytes"] / GIB, preview["memory_bytes"] / GIB
    vram = preview["vram_bytes"] / GIB
    return (
        f"Old and new engine do not fit into the host's memory together: they need {needed:.1f} GiB, "
        f"the host has {has:.1f} GiB and {vram:.1f} GiB on GPUs."
    )


def _revisions(plan: Plan) -> list[ModelRevision]:
    wanted = (plan.from_revision, plan.to_revision, plan.embedder_revision)
    return list({revision.pk: revision for revision in wanted if revision}.values())


def _load(revision: ModelRevision, shape: ModelShape) -> Load:
    """What SAM runs the engine with: one request at a time, over its whole context."""
    trained = int(revision.facts.get("context_length") or revision.model.context_length or 0)
    context = trained or shape.context_length or EMBEDDING_CONTEXT
    if revision.model.role == ModelRole.EMBEDDING:
        context = min(context, EMBEDDING_CONTEXT)
    return Load(context)


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
        "needs_bytes": int(revision.file_size * MEMORY_FACTOR),
        "where": str(Where.MEMORY),
        "read_from_header": False,
    }
