"""What a plan would touch and need, counted before it starts."""

from __future__ import annotations

import math
from typing import TypedDict, cast

from django.db.models import QuerySet

from engines.machine import Machine
from engines.models import (
    AdapterStatus,
    Chunk,
    CopyStatus,
    Document,
    Embedding,
    KnowledgeBase,
    LoraAdapter,
    ModelCopy,
)
from engines.services.catalog.copies import free_disk_of
from engines.services.catalog.fit import EngineNeed, fit_side_by_side, machine_of
from engines.services.knowledge.fingerprints import find_fingerprint
from engines.services.knowledge.recutting import (
    CutCounts,
    count_passages,
    documents_cut_otherwise,
)
from engines.specs import ModelSource
from migrations_app.models import Plan
from migrations_app.plans.effects import Effects, effects_of
from migrations_app.plans.prompt_changes import PromptMove, prompt_move
from migrations_app.states import PlanKind

SLOWEST = 0.001
"""Texts a second, so that nothing is divided by a rate that was rounded to none."""
DISK_RESERVE = 1024**3
BACKUP_BYTES_PER_CHUNK = 2048


class Named(TypedDict):
    """A row that the plan touches."""

    id: int
    name: str


class PlanPreview(TypedDict):
    """What every preview says; that of a plan about hosts says nothing more."""

    warnings: list[str]


class ChunkCounts(TypedDict):
    """Live chunks, their distinct texts, how many of these have no vector yet, and what is cut anew."""

    chunks: int
    unique_texts: int
    to_embed: int
    documents_to_cut: int
    passages_to_cut: int


class DiskNeed(TypedDict):
    """Bytes on the plan's host."""

    bytes_to_fetch: int
    disk_needed_bytes: int
    disk_free_bytes: int


class MemoryNeed(TypedDict):
    """Bytes that old and new engine need side by side, and what the host has."""

    memory_needed_bytes: int
    memory_bytes: int
    vram_bytes: int
    engines_in_memory: list[EngineNeed]
    fits_together: bool | None
    """None when the host has not told its memory."""


class MoveCounts(ChunkCounts, DiskNeed, MemoryNeed, Effects):
    """What moving a person or a base touches."""

    from_engine: str | None
    to_engine: str | None
    host: str | None
    adapters: list[Named]
    bases: list[Named]
    estimated_seconds: int
    estimated_minutes: int


class MovePreview(MoveCounts, PlanPreview):
    """The preview of a plan that moves a person or a base."""


class PendingPreview(MovePreview):
    """That of a plan which moves a person and has not begun."""

    prompts: PromptMove
    """Never kept with the plan, which outlives what people wrote."""


def preview_of(plan: Plan) -> PlanPreview | MovePreview:
    """Say what the plan would touch and need, with numbers that can be checked afterwards."""
    if plan.kind not in (PlanKind.MIGRATE, PlanKind.RE_EMBED):
        return {"warnings": []}
    bases = _bases(plan)
    adapters = _affected_adapters(plan)
    counts = _chunk_counts(plan, bases)
    disk = _disk(plan, counts["chunks"])
    effects = effects_of(plan, bases)
    seconds = _seconds(counts, disk, effects)
    preview: MoveCounts = {
        "from_engine": plan.from_engine.model_id if plan.from_engine else None,
        "to_engine": plan.to_engine.model_id if plan.to_engine else None,
        "host": plan.host.name if plan.host else None,
        "adapters": [{"id": a.pk, "name": a.name} for a in adapters],
        "bases": [{"id": base.pk, "name": base.name} for base in bases],
        **counts,
        **disk,
        **count_memory_need(plan),
        **effects,
        "estimated_seconds": seconds,
        "estimated_minutes": max(round(seconds / 60), 1),
    }
    return {**preview, "warnings": _warnings(plan, preview)}


def preview_with_prompts(plan: Plan, preview: PlanPreview | MovePreview) -> PlanPreview:
    """Add what the switch would change in the person's prompts, where it is about a person."""
    moved = prompt_move(plan)
    return preview if moved is None else cast("PendingPreview", {**preview, "prompts": moved})


def _bases(plan: Plan) -> list[KnowledgeBase]:
    if plan.base is not None:
        return [plan.base]
    return list(KnowledgeBase.objects.filter(owner=plan.user).order_by("pk"))


def _affected_adapters(plan: Plan) -> list[LoraAdapter]:
    if plan.kind != PlanKind.MIGRATE:
        return []
    active = LoraAdapter.objects.filter(user=plan.user, status=AdapterStatus.ACTIVE)
    return list(active.exclude(base_revision=plan.to_revision))


def _chunk_counts(plan: Plan, bases: list[KnowledgeBase]) -> ChunkCounts:
    live = Chunk.objects.filter(base__in=bases, deleted_seq__isnull=True)
    hashes = live.values("content_hash").distinct()
    chunks, unique = live.count(), hashes.count()
    embeds = plan.re_embed_knowledge
    known = 0
    fingerprint = find_fingerprint(plan.embedder_revision) if embeds else None
    if fingerprint is not None:
        known = Embedding.objects.filter(fingerprint=fingerprint, content_hash__in=hashes).count()
    to_embed = unique - known if embeds else 0
    cut = CutCounts(0, 0)
    if (due := _documents_to_cut(plan)) is not None:
        cut = count_passages(due)
        # Their new passages are about as many.
        to_embed = live.filter(document__in=due).values("content_hash").distinct().count()
    return {
        "chunks": chunks,
        "unique_texts": unique,
        "to_embed": to_embed,
        "documents_to_cut": cut.documents,
        "passages_to_cut": cut.passages,
    }


def _documents_to_cut(plan: Plan) -> QuerySet[Document] | None:
    """Return what a plan cuts anew; None for one that changes the embedder."""
    live = plan.base.live_index if plan.kind == PlanKind.RE_EMBED and plan.base else None
    if live is None or live.fingerprint != find_fingerprint(plan.embedder_revision):
        return None
    return documents_cut_otherwise(live)


def _disk(plan: Plan, chunks: int) -> DiskNeed:
    wanted = {r.pk: r for r in (plan.to_revision, plan.embedder_revision) if r is not None}
    there = ModelCopy.objects.filter(
        host=plan.host, revision__in=wanted, status=CopyStatus.DOWNLOADED
    ).values_list("revision_id", flat=True)
    absent = [r for pk, r in wanted.items() if pk not in set(there)]
    fetch = sum(r.file_size for r in absent if r.source == ModelSource.FILE)
    dimension = (plan.to_engine.embedder.embedding_dimension if plan.to_engine else None) or 1024
    own = chunks * (BACKUP_BYTES_PER_CHUNK + 4 * dimension)
    free = free_disk_of(plan.host) if plan.host else 0
    return {"bytes_to_fetch": fetch, "disk_needed_bytes": fetch + own, "disk_free_bytes": free}


def _seconds(counts: ChunkCounts, disk: DiskNeed, effects: Effects) -> int:
    embedding = counts["to_embed"] / max(effects["texts_per_second"], SLOWEST)
    fetching = disk["bytes_to_fetch"] / max(effects["bytes_per_second"], 1)
    return math.ceil(embedding + fetching + effects["other_seconds"])


def _warnings(plan: Plan, preview: MoveCounts) -> list[str]:
    warnings = []
    if preview["disk_needed_bytes"] + DISK_RESERVE > preview["disk_free_bytes"]:
        warnings.append("The host may not have enough free disk for this plan.")
    if preview["fits_together"] is False:
        warnings.append(fit_side_by_side_warning(preview))
    if preview["adapters"]:
        warnings.append("The LoRA adapters named here will not work with the new engine.")
    warnings += _server_warnings(plan)
    if plan.kind == PlanKind.MIGRATE:
        warnings += _context_warnings(preview)
        if not plan.backup_lora_adapters and preview["adapters"]:
            warnings.append(
                "The adapters are left out of the backup; their files stay in the store."
            )
        if preview["chunks"] and not plan.re_embed_knowledge:
            warnings.append("Search stays with the old embedder until a re_embed plan follows.")
    return warnings + _embedding_warnings(plan, preview)


def _embedding_warnings(plan: Plan, preview: MoveCounts) -> list[str]:
    if preview["documents_to_cut"]:
        return [
            f"{preview['documents_to_cut']} documents are cut anew along their structure, into passages that "
            f"the embedder reads as a whole: {preview['passages_to_cut']} of {preview['chunks']} passages "
            "change. What is cited stays; there is no way back, and no word is lost."
        ]
    if preview["to_embed"] == 0 and preview["chunks"] and plan.re_embed_knowledge:
        return ["Nothing has to be re-embedded: the vectors are there already."]
    return []


def _server_warnings(plan: Plan) -> list[str]:
    """Tell whose texts will leave SAM's hosts."""
    revisions = [plan.to_revision, plan.embedder_revision]
    served = {r.model for r in revisions if r is not None and r.source == ModelSource.SERVER}
    return [
        f"{model.display_name} runs on the server {model.endpoint}: what is written goes there."
        for model in sorted(served, key=lambda model: model.model_id)
    ]


def _context_warnings(preview: MoveCounts) -> list[str]:
    change = preview["context"]
    if change is None or not 0 < change["after"] < change["before"]:
        return []
    sentence = f"The new context has {change['after']} tokens, the old one {change['before']}."
    cut = change["conversations_cut"]
    return [f"{sentence} About {cut} conversations will be cut at their beginning."]


GIB = 1024**3


def count_memory_need(plan: Plan) -> MemoryNeed:
    """Return each engine's need, where it would go, and whether all fit side by side."""
    wanted = (plan.from_revision, plan.to_revision, plan.embedder_revision)
    machine = machine_of(plan.host) if plan.host else Machine(0, 0)
    found = fit_side_by_side([revision for revision in wanted if revision], machine)
    return {
        "memory_needed_bytes": sum(need["needs_bytes"] for need in found.needs),
        "memory_bytes": machine.memory_bytes,
        "vram_bytes": machine.vram_bytes,
        "engines_in_memory": found.needs,
        "fits_together": found.fits,
    }


def fit_side_by_side_warning(preview: MemoryNeed) -> str:
    """Return the warning of a preview whose engines do not fit together."""
    needed, has = preview["memory_needed_bytes"] / GIB, preview["memory_bytes"] / GIB
    vram = preview["vram_bytes"] / GIB
    return (
        f"Old and new engine do not fit into the host's memory together: they need {needed:.1f} GiB, "
        f"the host has {has:.1f} GiB and {vram:.1f} GiB on GPUs."
    )
