"""Turning a wish into a plan: what it means, what it will touch, what it needs; nothing is changed yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Length

from engines.exceptions import (
    HostUnavailableError,
    InvalidRequestError,
    NotFoundError,
    UnsafeModelFileError,
)
from engines.models import (
    AdapterStatus,
    CatalogModel,
    Chunk,
    CopyStatus,
    Embedding,
    Fingerprint,
    Host,
    HostStatus,
    KnowledgeBase,
    LoraAdapter,
    Message,
    ModelCopy,
    ModelRevision,
    ModelRole,
)
from engines.services.catalog.entries import catalog_visible_to, model_get, pinned_revision
from engines.services.catalog.fit import machine_of
from engines.services.hosts import LEAVING
from engines.services.people.preferences import effective_engine, preference_of
from engines.specs import ModelSource
from migrations_app.memory import memory_of, not_together, together
from migrations_app.models import Plan, Step
from migrations_app.states import CONTROL_STEPS, STEPS_OF, PlanKind, StepStatus

CURRENT = "current"
TEXTS_PER_SECOND = 12.0
"""What a small embedder does on two CPU cores, until this host has measured its own."""
BYTES_PER_SECOND = 10 * 1024 * 1024
FIXED_MINUTES = 1
DISK_RESERVE = 1024**3
CHARS_PER_TOKEN = 4
BACKUP_BYTES_PER_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class Options:
    """The seed's options of a migration."""

    backup_lora: bool = True
    re_embed: bool = True
    update_prompts: bool = True


def plan_migration(
    user: User, from_engine: str, to_engine: str, options: Options, *, actor: User | None
) -> Plan:
    """Make a pending plan: ``"current"`` resolved, revisions pinned, a host chosen, effects counted.

    Raises NotFoundError, InvalidRequestError, HostUnavailableError or what resolving at the hub raises.
    """
    source, source_revision = _source(user, from_engine)
    target = _target(user, to_engine)
    revision = pinned_revision(target)
    if source_revision is not None and source_revision == revision:
        raise InvalidRequestError(f"{target.display_name} is already the active engine.")
    embedder = pinned_revision(target.embedder) if target.embedder != target else revision
    plan = Plan(
        kind=PlanKind.MIGRATE,
        user=user,
        created_by=actor or user,
        host=choose_host([revision, embedder], beside=[source_revision] if source_revision else []),
        from_engine=source,
        from_revision=source_revision,
        to_engine=target,
        to_revision=revision,
        embedder_revision=embedder,
        backup_lora_adapters=options.backup_lora,
        re_embed_knowledge=options.re_embed,
        update_prompt_templates=options.update_prompts,
        preference_version=preference_of(user).version,
    )
    return _save(plan)


def plan_re_embed(base: KnowledgeBase, engine: CatalogModel | None, *, actor: User) -> Plan:
    """Make a pending plan that gives one base another embedder: the engine's, or the engine itself.

    Without an engine it is the one its owner uses. Raises InvalidRequestError when there is none, or
    when the base is searched with that embedder already.
    """
    chosen = engine or (effective_engine(base.owner)[0] if base.owner else None)
    if chosen is None:
        raise InvalidRequestError("Name the engine whose embedder this base shall have.")
    embedder = chosen.embedder
    revision = pinned_revision(embedder)
    live = base.live_index
    if live is not None and live.fingerprint.revision == revision:
        raise InvalidRequestError(
            f"{base.name!r} is searched with {embedder.display_name} already."
        )
    plan = Plan(
        kind=PlanKind.RE_EMBED,
        base=base,
        user=base.owner,
        created_by=actor,
        host=choose_host([revision]),
        to_engine=embedder,
        to_revision=revision,
        embedder_revision=revision,
    )
    return _save(plan)


def plan_rollback(original: Plan, *, actor: User | None) -> Plan:
    """Make the plan that takes a completed one back; what it undoes is pinned by the original."""
    preference = preference_of(original.user) if original.user else None
    plan = Plan(
        kind=PlanKind.ROLLBACK,
        user=original.user,
        base=original.base,
        created_by=actor,
        host=_host_of_the_way_back(original),
        rolls_back=original,
        from_engine=original.to_engine,
        from_revision=original.to_revision,
        to_engine=original.from_engine,
        to_revision=original.from_revision,
        preference_version=preference.version if preference else None,
    )
    return _save(plan)


def plan_for_file(
    kind: PlanKind, revision: ModelRevision, host: Host, *, actor: User | None
) -> Plan:
    """Make a plan about one model file on one host: download, delete or verify."""
    plan = Plan(
        kind=kind, created_by=actor, host=host, to_engine=revision.model, to_revision=revision
    )
    return _save(plan)


def _save(plan: Plan) -> Plan:
    plan.preview = preview_of(plan)
    plan.affected_lora_adapters = [a["name"] for a in plan.preview.get("adapters", [])]
    plan.knowledge_base_size = plan.preview.get("chunks", 0)
    plan.estimated_duration_minutes = plan.preview.get("estimated_minutes", 0)
    with transaction.atomic():
        plan.save()
        Step.objects.bulk_create(
            Step(
                plan=plan,
                position=position,
                kind=kind,
                host=None if kind in CONTROL_STEPS else plan.host,
                status=StepStatus.PENDING,
            )
            for position, kind in enumerate(STEPS_OF[PlanKind(plan.kind)])
        )
    return plan


def _source(user: User, name: str) -> tuple[CatalogModel | None, ModelRevision | None]:
    engine, revision = effective_engine(user)
    if name not in (CURRENT, "", engine.model_id if engine else None):
        active = engine.model_id if engine else "no engine at all"
        raise InvalidRequestError(
            f"{user.username} uses {active}, not {name}; plan from 'current'."
        )
    return engine, revision


def _target(user: User, name: str) -> CatalogModel:
    target = model_get(name)
    if not catalog_visible_to(user).filter(pk=target.pk).exists():
        raise NotFoundError(f"No model is called {name!r}; list the catalog to see the names.")
    if target.role != ModelRole.CHAT:
        raise InvalidRequestError(f"{name} only embeds; choose an engine that chats.")
    return target


def choose_host(revisions: list[ModelRevision], *, beside: Sequence[ModelRevision] = ()) -> Host:
    """Choose an active host: where all fit into memory, most of the files are, most disk is free.

    ``beside`` are engines that run there meanwhile. A host without room is taken when none has it:
    the preview says so. Raises HostUnavailableError when none is active, UnsafeModelFileError when
    each has a file of these that crashed its engine.
    """
    active = Host.objects.filter(status=HostStatus.ACTIVE)

    def rank(host: Host) -> tuple[bool, int, int]:
        has_room = together([*beside, *revisions], machine_of(host)).fits is not False
        return not has_room, -_files_on(host, revisions), -host.disk_free_bytes

    hosts = sorted(active, key=rank)
    if not hosts:
        raise HostUnavailableError(
            "No host is active; start a host's workers (`manage.py up` starts one) and try again."
        )
    chosen = next((host for host in hosts if not _has_unsafe(host, revisions)), None)
    if chosen is None:
        names = ", ".join(str(revision) for revision in revisions)
        raise UnsafeModelFileError(
            f"{names}: a file is marked unsafe on every active host; an operator can clear the mark."
        )
    return chosen


def _host_of_the_way_back(original: Plan) -> Host | None:
    """Return the host that did it, or another one when that one takes no new work."""
    if original.host is None or original.host.status not in LEAVING:
        return original.host
    needed = (original.from_revision, original.embedder_revision)
    return choose_host([revision for revision in needed if revision is not None])


def _has_unsafe(host: Host, revisions: list[ModelRevision]) -> bool:
    unsafe = ModelCopy.objects.filter(host=host, revision__in=revisions, status=CopyStatus.UNSAFE)
    return unsafe.exists()


def _files_on(host: Host, revisions: list[ModelRevision]) -> int:
    return ModelCopy.objects.filter(
        host=host, revision__in=revisions, status=CopyStatus.DOWNLOADED
    ).count()


def preview_of(plan: Plan) -> dict[str, Any]:
    """Say what the plan would touch and need, with numbers that can be checked afterwards."""
    if plan.kind not in (PlanKind.MIGRATE, PlanKind.RE_EMBED):
        return {"warnings": []}
    bases = _bases(plan)
    adapters = _affected_adapters(plan)
    counts = _chunk_counts(plan, bases)
    disk = _disk(plan, counts["chunks"])
    preview = {
        "from_engine": plan.from_engine.model_id if plan.from_engine else None,
        "to_engine": plan.to_engine.model_id if plan.to_engine else None,
        "host": plan.host.name if plan.host else None,
        "adapters": [{"id": a.pk, "name": a.name} for a in adapters],
        "bases": [{"id": base.pk, "name": base.name} for base in bases],
        **counts,
        **disk,
        **memory_of(plan),
        "estimated_minutes": _minutes(counts["to_embed"], disk["bytes_to_fetch"]),
    }
    return {**preview, "warnings": _warnings(plan, preview)}


def _bases(plan: Plan) -> list[KnowledgeBase]:
    if plan.base is not None:
        return [plan.base]
    return list(KnowledgeBase.objects.filter(owner=plan.user).order_by("pk"))


def _affected_adapters(plan: Plan) -> list[LoraAdapter]:
    if plan.kind != PlanKind.MIGRATE:
        return []
    active = LoraAdapter.objects.filter(user=plan.user, status=AdapterStatus.ACTIVE)
    return list(active.exclude(base_revision=plan.to_revision))


def _chunk_counts(plan: Plan, bases: list[KnowledgeBase]) -> dict[str, int]:
    live = Chunk.objects.filter(base__in=bases, deleted_seq__isnull=True)
    hashes = live.values("content_hash").distinct()
    chunks, unique = live.count(), hashes.count()
    embeds = plan.re_embed_knowledge
    known = 0
    fingerprint = _known_fingerprint(plan) if embeds else None
    if fingerprint is not None:
        known = Embedding.objects.filter(fingerprint=fingerprint, content_hash__in=hashes).count()
    return {"chunks": chunks, "unique_texts": unique, "to_embed": unique - known if embeds else 0}


def _known_fingerprint(plan: Plan) -> Fingerprint | None:
    return Fingerprint.objects.filter(revision=plan.embedder_revision).order_by("-pk").first()


def _disk(plan: Plan, chunks: int) -> dict[str, int]:
    wanted = {r.pk: r for r in (plan.to_revision, plan.embedder_revision) if r is not None}
    there = ModelCopy.objects.filter(
        host=plan.host, revision__in=wanted, status=CopyStatus.DOWNLOADED
    ).values_list("revision_id", flat=True)
    absent = [r for pk, r in wanted.items() if pk not in set(there)]
    fetch = sum(r.file_size for r in absent if r.source == ModelSource.FILE)
    dimension = (plan.to_engine.embedder.embedding_dimension if plan.to_engine else None) or 1024
    own = chunks * (BACKUP_BYTES_PER_CHUNK + 4 * dimension)
    free = plan.host.disk_free_bytes if plan.host else 0
    return {"bytes_to_fetch": fetch, "disk_needed_bytes": fetch + own, "disk_free_bytes": free}


def _minutes(to_embed: int, bytes_to_fetch: int) -> int:
    seconds = to_embed / TEXTS_PER_SECOND + bytes_to_fetch / BYTES_PER_SECOND
    return FIXED_MINUTES + math.ceil(seconds / 60)


def _warnings(plan: Plan, preview: dict[str, Any]) -> list[str]:
    warnings = []
    if preview["disk_needed_bytes"] + DISK_RESERVE > preview["disk_free_bytes"]:
        warnings.append("The host may not have enough free disk for this plan.")
    if preview["fits_together"] is False:
        warnings.append(not_together(preview))
    if preview["adapters"]:
        warnings.append("The LoRA adapters named here will not work with the new engine.")
    warnings += _server_warnings(plan)
    if plan.kind == PlanKind.MIGRATE:
        warnings += _context_warnings(plan)
        if not plan.backup_lora_adapters and preview["adapters"]:
            warnings.append(
                "The adapters are left out of the backup; their files stay in the store."
            )
        if preview["chunks"] and not plan.re_embed_knowledge:
            warnings.append("Search stays with the old embedder until a re_embed plan follows.")
    if preview["to_embed"] == 0 and preview["chunks"] and plan.re_embed_knowledge:
        warnings.append("Nothing has to be re-embedded: the vectors are there already.")
    return warnings


def _server_warnings(plan: Plan) -> list[str]:
    """Tell whose texts will leave SAM's hosts."""
    revisions = [plan.to_revision, plan.embedder_revision]
    served = {r.model for r in revisions if r is not None and r.source == ModelSource.SERVER}
    return [
        f"{model.display_name} runs on the server {model.endpoint}: what is written goes there."
        for model in sorted(served, key=lambda model: model.model_id)
    ]


def _context_warnings(plan: Plan) -> list[str]:
    old = _context(plan.from_revision)
    new = _context(plan.to_revision)
    if not (old and new and new < old):
        return []
    chars = (
        Message.objects.filter(conversation__user=plan.user)
        .values("conversation")
        .annotate(chars=Sum(Length("content")))
        .filter(chars__gt=new * CHARS_PER_TOKEN)
        .count()
    )
    sentence = f"The new context has {new} tokens, the old one {old}."
    return [f"{sentence} About {chars} conversations will be cut at their beginning."]


def _context(revision: ModelRevision | None) -> int:
    if revision is None:
        return 0
    return int(revision.facts.get("context_length") or revision.model.context_length or 0)
