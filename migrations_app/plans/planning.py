"""Turning a wish into a plan: what it means, what it will touch, what it needs; nothing is changed yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from engines.exceptions import (
    ConflictError,
    HostUnavailableError,
    InvalidRequestError,
    NotFoundError,
    UnsafeModelFileError,
)
from engines.models import (
    CatalogModel,
    Chunk,
    CopyStatus,
    Host,
    HostStatus,
    KnowledgeBase,
    ModelCopy,
    ModelRevision,
    ModelRole,
)
from engines.moments import moment_in_words
from engines.services.catalog.entries import catalog_visible_to, get_model
from engines.services.catalog.fit import fit_side_by_side, judge_alone, machine_of
from engines.services.catalog.resolving import pinned_revision
from engines.services.engine_choice import effective_engine
from engines.services.hosts import find_host, present_hosts
from engines.services.knowledge.fingerprints import find_fingerprint
from engines.services.knowledge.recutting import documents_cut_otherwise
from engines.services.people.preferences import preference_of
from migrations_app.models import Plan, Step
from migrations_app.plans.notices import notify_of_plan_made
from migrations_app.plans.plan_revisions import list_needed_revisions
from migrations_app.plans.preview import GIB, preview_of
from migrations_app.states import CONTROL_STEPS, STEPS_OF, PlanKind, StepStatus

CURRENT = "current"
MAX_WAIT = timedelta(days=366)
"""How far ahead a start may lie: what a plan was made against does not stay for ever."""


@dataclass(frozen=True, slots=True)
class Options:
    """The seed's options of a migration, and when it starts once it is confirmed; None is at once."""

    backup_lora: bool = True
    re_embed: bool = True
    update_prompts: bool = True
    not_before: datetime | None = None
    accept_losses: bool = False
    """Whether it goes on where the new embedder understands texts worse, and says so."""


def plan_migration(
    user: User, from_engine: str, to_engine: str, options: Options, *, actor: User | None
) -> Plan:
    """Make a pending plan: ``"current"`` resolved, revisions pinned, a host chosen, effects counted.

    Raises NotFoundError, InvalidRequestError, HostUnavailableError or what resolving at the hub raises.
    """
    if not user.is_active:
        raise ConflictError(f"{user.username} is deactivated; reactivate the account first.")
    require_start_ahead(options.not_before)
    source, source_revision = _source(user, from_engine)
    target = _target(user, to_engine)
    revision = pinned_revision(target)
    if source_revision is not None and source_revision == revision:
        raise InvalidRequestError(f"{target.display_name} is already the active engine.")
    refuse_what_fits_nowhere(target, revision)
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
        accept_losses=options.accept_losses,
        not_before=options.not_before,
        preference_version=preference_of(user).version,
    )
    if not options.re_embed:
        refuse_without_index(user)
    return save_plan(plan)


def refuse_what_fits_nowhere(model: CatalogModel, revision: ModelRevision) -> None:
    """Raise InvalidRequestError for an engine that needs more than any active host has for one alone."""
    active = Host.objects.filter(status=HostStatus.ACTIVE)
    found = [judge_alone(model, revision, machine_of(host)) for host in active]
    if not found or any(one.fits is not False for one in found):
        return
    largest = max(found, key=lambda one: one.has_bytes)
    raise InvalidRequestError(
        f"{model.display_name} needs {largest.needs_bytes / GIB:.1f} GiB and fits on no host: the "
        f"largest has {largest.has_bytes / GIB:.1f} GiB for engines. Choose a smaller one."
    )


def require_start_ahead(moment: datetime | None) -> None:
    """Raise InvalidRequestError for a start that has passed already, or lies too far ahead."""
    if moment is None:
        return
    now = timezone.now()
    if moment <= now:
        raise InvalidRequestError(
            f"{moment_in_words(moment)} has passed; choose a time to come, or none to start at once."
        )
    if moment > now + MAX_WAIT:
        raise InvalidRequestError("A start lies at most a year ahead; choose an earlier one.")


def plan_re_embed(
    base: KnowledgeBase, engine: CatalogModel | None, *, actor: User, accept_losses: bool = False
) -> Plan:
    """Make a pending plan that gives one base another embedder: the engine's, or the engine itself.

    Without an engine it is the one its owner uses. Raises InvalidRequestError when there is none, or
    when the base is searched with that embedder already, as its entry is now, and all its documents are cut for
    it; else such a plan cuts them anew.
    """
    chosen = engine or (effective_engine(base.owner)[0] if base.owner else None)
    if chosen is None:
        raise InvalidRequestError("Name the engine whose embedder this base shall have.")
    embedder = chosen.embedder
    revision = pinned_revision(embedder)
    live = base.live_index
    is_searched = live is not None and live.fingerprint == find_fingerprint(revision)
    if live is not None and is_searched and not documents_cut_otherwise(live).exists():
        raise InvalidRequestError(
            f"{base.name!r} is searched with {embedder.display_name} already, and its documents are cut "
            "for it."
        )
    plan = Plan(
        kind=PlanKind.RE_EMBED,
        accept_losses=accept_losses,
        base=base,
        user=base.owner,
        created_by=actor,
        host=choose_host([revision]),
        to_engine=embedder,
        to_revision=revision,
        embedder_revision=revision,
    )
    return save_plan(plan)


def plan_rollback(original: Plan, *, actor: User | None) -> Plan:
    """Make the plan that takes a completed one back; what it undoes is pinned by the original."""
    preference = preference_of(original.user) if original.user else None
    plan = Plan(
        kind=PlanKind.ROLLBACK,
        user=original.user,
        base=original.base,
        created_by=actor,
        host=original.host,
        rolls_back=original,
        from_engine=original.to_engine,
        from_revision=original.to_revision,
        to_engine=original.from_engine,
        to_revision=original.from_revision,
        preference_version=preference.version if preference else None,
    )
    plan.host = _place_way_back(plan)
    return save_plan(plan)


def plan_for_file(
    kind: PlanKind, revision: ModelRevision, host: Host, *, actor: User | None
) -> Plan:
    """Make a plan about one model file on one host: download, delete or verify."""
    plan = Plan(
        kind=kind, created_by=actor, host=host, to_engine=revision.model, to_revision=revision
    )
    return save_plan(plan)


def save_plan(plan: Plan) -> Plan:
    """Write a plan that was made up, with the steps of its kind and what it would touch."""
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
        notify_of_plan_made(plan)
    return plan


def _source(user: User, name: str) -> tuple[CatalogModel | None, ModelRevision | None]:
    engine, revision = effective_engine(user)
    if name not in (CURRENT, "", engine.model_id if engine else None):
        active = engine.model_id if engine else "no engine at all"
        raise InvalidRequestError(
            f"{user.username} uses {active}, not {name}; plan from 'current'."
        )
    return engine, revision


def refuse_without_index(user: User) -> None:
    """Raise InvalidRequestError when there is text that no old embedder searches: none would remain."""
    bare = list_bases_without_index(user.pk)
    if bare:
        raise InvalidRequestError(
            f"{_named(bare)} has no index yet, so there is no old embedder that could stay; plan with "
            "re-embedding (re_embed=true, without --no-re-embed)."
        )


def list_bases_without_index(user_id: int) -> list[KnowledgeBase]:
    """Return a person's bases that hold text and are searched with no embedder."""
    bare = KnowledgeBase.objects.filter(owner_id=user_id, live_index__isnull=True)
    texts = Chunk.objects.filter(base=OuterRef("pk"), deleted_seq__isnull=True)
    return list(bare.filter(Exists(texts)).order_by("pk"))


def _named(bases: Sequence[KnowledgeBase]) -> str:
    more = f" (and {len(bases) - 1} more)" if len(bases) > 1 else ""
    return f"The base {bases[0].name!r}{more}"


def _target(user: User, name: str) -> CatalogModel:
    target = get_model(name)
    if not catalog_visible_to(user).filter(pk=target.pk).exists():
        raise NotFoundError(f"No model is called {name!r}; list the catalog to see the names.")
    if target.role != ModelRole.CHAT:
        raise InvalidRequestError(f"{name} only {target.only_does}; choose an engine that chats.")
    return target


def choose_host(
    revisions: list[ModelRevision],
    *,
    beside: Sequence[ModelRevision] = (),
    among: QuerySet[Host] | None = None,
) -> Host:
    """Choose an active host: where all fit into memory, most of the files are, most disk is free.

    ``beside`` are engines that run there meanwhile. A host without room is taken when none has it:
    the preview says so. Raises HostUnavailableError when none is active, UnsafeModelFileError when
    each has a file of these that crashed its engine.
    """
    hosts_of_all = Host.objects.all() if among is None else among
    active = hosts_of_all.filter(status=HostStatus.ACTIVE)
    active = _having_what_cannot_be_fetched(active, revisions)

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


def _having_what_cannot_be_fetched(
    hosts: QuerySet[Host], revisions: list[ModelRevision]
) -> QuerySet[Host]:
    """Return the hosts that have each model which is at no hub."""
    for revision in revisions:
        if revision.is_at_no_hub:
            copies = ModelCopy.objects.filter(revision=revision, status=CopyStatus.DOWNLOADED)
            hosts = hosts.filter(pk__in=copies.values("host"))
            if not hosts.exists():
                raise HostUnavailableError(
                    f"{revision.model.model_id} was added from a file, and no active host has it; run "
                    "`sam catalog add FILE` on one."
                )
    return hosts


def choose_other_host(plan: Plan, name: str | None = None) -> Host:
    """Return another host than the plan's: the named one, or the one that suits its files best.

    Raises NotFoundError for an unknown name, ConflictError for one that takes no work, and what
    ``choose_host`` raises.
    """
    if name is None:
        others = Host.objects.exclude(name=plan.host.name) if plan.host else Host.objects.all()
        return choose_host(list_needed_revisions(plan), among=others)
    host = find_host(name)
    if host.pk == plan.host_id:
        raise ConflictError(f"The plan is on {name} already; name another host.")
    if host.status != HostStatus.ACTIVE:
        raise ConflictError(f"The host {name} is {host.status}; name an active one.")
    return host


def _place_way_back(plan: Plan) -> Host | None:
    """Return the host that did it when it has the files, else one that has them, else any.

    Where none has them the plan fetches them first.
    """
    did_it = plan.host
    if did_it is None:
        return None
    needed = list_needed_revisions(plan)
    holders = [
        host
        for host in present_hosts()
        if _files_on(host, needed) == len(needed) and not _has_unsafe(host, needed)
    ]
    if did_it in holders:
        return did_it
    if not holders:
        return choose_host(needed)
    return choose_host(needed, among=Host.objects.filter(pk__in=[host.pk for host in holders]))


def _has_unsafe(host: Host, revisions: list[ModelRevision]) -> bool:
    unsafe = ModelCopy.objects.filter(host=host, revision__in=revisions, status=CopyStatus.UNSAFE)
    return unsafe.exists()


def _files_on(host: Host, revisions: list[ModelRevision]) -> int:
    return ModelCopy.objects.filter(
        host=host, revision__in=revisions, status=CopyStatus.DOWNLOADED
    ).count()
