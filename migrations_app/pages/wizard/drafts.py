"""What somebody has begun to plan: a pending plan that nobody has confirmed yet."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from engines.models import CatalogModel, KnowledgeBase
from engines.services.hosts import LEAVING
from engines.services.knowledge.writing import lock_base
from engines.services.people.preferences import lock_preference, preference_of
from migrations_app.controller import get_migration_controller
from migrations_app.models import Plan
from migrations_app.plans.transitions import request_cancel
from migrations_app.states import PlanKind, PlanStatus

MAX_SHOWN = 5


def drafts_of(whom: User, actor: User) -> QuerySet[Plan]:
    """Return what somebody has begun to plan for a person, moves and bases, the newest first."""
    kinds = (PlanKind.MIGRATE, PlanKind.RE_EMBED)
    rows = _drafts(actor).filter(kind__in=kinds, user=whom)
    return rows.select_related("from_engine", "to_engine", "user", "base").order_by(
        "-created_at", "pk"
    )


def begin_draft(whom: User, engine: str, *, actor: User) -> str:
    """Return the plan of a move to an engine: the one begun before, as long as it still holds, or a new one.

    So a form that is sent twice, in one tab or in two, makes one plan. Raises what planning raises.
    """
    begun = _begun(whom, engine, actor).first()
    if begun is not None:
        return begun.migration_id
    plan_id = get_migration_controller().create_migration_plan(
        "current", engine, whom.pk, actor=actor
    )
    # Making a plan may ask the Hub, so no lock is held meanwhile; of two made at once the first stays.
    with transaction.atomic():
        lock_preference(whom.pk)
        first = _begun(whom, engine, actor).order_by("created_at", "pk").first()
        if first is None or first.migration_id == plan_id:
            return plan_id
        request_cancel(plan_id, who=actor.username)
        return first.migration_id


def begin_anew(base: KnowledgeBase, embedder: CatalogModel, *, actor: User) -> str:
    """Return the plan that embeds a base anew with an embedder: the one begun before, or a new one.

    Raises what planning raises.
    """
    begun = _startable(actor).filter(kind=PlanKind.RE_EMBED, base=base, to_engine=embedder)
    begun = begun.order_by("created_at", "pk")
    first = begun.first()
    if first is not None:
        return first.migration_id
    plan_id = get_migration_controller().create_re_embed_plan(base, embedder.model_id, actor=actor)
    # As with a move: of two made at once the first stays.
    with transaction.atomic():
        lock_base(base.pk)
        first = begun.first()
        if first is None or first.migration_id == plan_id:
            return plan_id
        request_cancel(plan_id, who=actor.username)
        return first.migration_id


def _drafts(actor: User) -> QuerySet[Plan]:
    return Plan.objects.filter(created_by=actor, status=PlanStatus.PENDING, confirmed_at=None)


def _startable(actor: User) -> QuerySet[Plan]:
    """Leave out drafts that could not start, and those on a host that leaves: a new one is on another."""
    return _drafts(actor).filter(error_message="").exclude(host__status__in=LEAVING)


def _begun(whom: User, engine: str, actor: User) -> QuerySet[Plan]:
    version = preference_of(whom).version
    same = _startable(actor).filter(kind=PlanKind.MIGRATE, user=whom, to_engine__model_id=engine)
    # One to an embedder that the engine has no more could not start.
    embedder = Coalesce("to_engine__embedding_model", "to_engine")
    same = same.filter(Q(re_embed_knowledge=False) | Q(embedder_revision__model=embedder))
    return same.filter(preference_version=version).order_by("-created_at", "pk")
