"""Turning a wish into a plan: what it means, what it will touch, what it needs; nothing is changed yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction

from engines.exceptions import (
    HostUnavailableError,
    InvalidRequestError,
    NotFoundError,
    UnsafeModelFileError,
)
from engines.models import (
    CatalogModel,
    CopyStatus,
    Host,
    HostStatus,
    KnowledgeBase,
    ModelCopy,
    ModelRevision,
    ModelRole,
)
from engines.services.catalog.entries import catalog_visible_to, get_model
from engines.services.catalog.fit import fit_side_by_side, machine_of
from engines.services.catalog.resolving import pinned_revision
from engines.services.hosts import LEAVING
from engines.services.people.preferences import effective_engine, preference_of
from migrations_app.models import Plan, Step
from migrations_app.plans.preview import preview_of
from migrations_app.states import CONTROL_STEPS, STEPS_OF, PlanKind, StepStatus

CURRENT = "current"


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
    plan.preview = dict(preview_of(plan))
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
    target = get_model(name)
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
        has_room = fit_side_by_side([*beside, *revisions], machine_of(host)).fits is not False
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
