"""The front door to migrations: REST, admin, wizard and command line all come through here."""

from __future__ import annotations

from functools import cache
from typing import cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import Q, QuerySet
from django.utils import timezone

from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError
from engines.models import KnowledgeBase
from engines.services.catalog.entries import get_model
from engines.services.hosts import refuse_leaving_host
from engines.services.people.preferences import preference_of
from migrations_app.models import Plan, Step
from migrations_app.plans.planning import Options, plan_migration, plan_re_embed, plan_rollback
from migrations_app.plans.preview import MovePreview, PlanPreview, preview_of
from migrations_app.plans.transitions import request_cancel, retry_step, start_plan
from migrations_app.states import PERSON_KINDS, PlanKind, PlanStatus, StepStatus

SYSTEM = "system"


class MigrationController:
    """The seed's controller: every method may be repeated, and refuses with a sentence."""

    def create_migration_plan(  # noqa: PLR0913 - the seed's signature
        self,
        from_engine: str,
        to_engine: str,
        user_id: int | str,
        backup_lora: bool = True,  # noqa: FBT001, FBT002 - the seed's signature
        re_embed: bool = True,  # noqa: FBT001, FBT002
        update_prompts: bool = True,  # noqa: FBT001, FBT002
        *,
        actor: User | None = None,
    ) -> str:
        """Make a pending plan for one person and return its id; nothing is changed yet.

        ``user_id`` is a key or a user name; ``from_engine`` may be ``"current"``.
        """
        options = Options(backup_lora, re_embed, update_prompts)
        plan = plan_migration(_user(user_id), from_engine, to_engine, options, actor=actor)
        return plan.migration_id

    def create_re_embed_plan(
        self, base: KnowledgeBase, engine: str | None = None, *, actor: User
    ) -> str:
        """Make a pending plan that gives one base the embedder of an engine, or of its owner's."""
        chosen = get_model(engine) if engine else None
        return plan_re_embed(base, chosen, actor=actor).migration_id

    def preview_migration(self, migration_id: str | UUID) -> PlanPreview | MovePreview:
        """Count again what a pending plan would touch; a started one keeps what it promised."""
        plan = _plan(migration_id)
        if plan.status != PlanStatus.PENDING:
            return cast("PlanPreview", plan.preview)
        preview = preview_of(plan)
        plan.preview = dict(preview)
        plan.save(update_fields=["preview"])
        return preview

    def execute_migration(self, migration_id: str | UUID, *, actor: User | None = None) -> bool:
        """Start a pending plan; True when it runs. ConflictError names a plan in its way."""
        plan = _plan(migration_id)
        if plan.status == PlanStatus.PENDING:
            refuse_leaving_host(plan.host)
        _check_still_current(plan)
        try:
            start_plan(plan.pk, who=_who(actor))
        except IntegrityError as error:
            raise ConflictError(_in_the_way(plan)) from error
        return True

    def get_migration_status(self, migration_id: str | UUID) -> Plan | None:
        """Return the plan, or None when there is none of this id."""
        return _find(migration_id)

    def cancel_migration(self, migration_id: str | UUID, *, actor: User | None = None) -> bool:
        """Ask a plan to stop and undo itself; ConflictError after the switch."""
        request_cancel(_plan(migration_id).pk, who=_who(actor))
        return True

    def roll_back_migration(self, migration_id: str | UUID, *, actor: User | None = None) -> str:
        """Start taking a completed plan back; returns the id of the plan that does it."""
        original = _plan(migration_id)
        _check_can_be_taken_back(original)
        running = original.rollbacks.filter(status__in=["pending", "in_progress"]).first()
        try:
            plan = running or plan_rollback(original, actor=actor)
            start_plan(plan.pk, who=_who(actor))
        except IntegrityError as error:
            raise ConflictError(_in_the_way(original)) from error
        return plan.migration_id

    def retry_step(self, migration_id: str | UUID, *, actor: User | None = None) -> Step:
        """Try a step again that waits for an operator."""
        return retry_step(_plan(migration_id).pk, who=_who(actor))

    def abandon_migration(self, migration_id: str | UUID, *, actor: User | None = None) -> bool:
        """Give up a plan whose step waits for an operator: frees the person, changes nothing."""
        plan = _plan(migration_id)
        if not plan.steps.filter(status=StepStatus.NEEDS_OPERATOR).exists():
            raise ConflictError("No step of this plan waits for an operator; cancel it instead.")
        request_cancel(plan.pk, who=_who(actor))
        return True


@cache
def get_migration_controller() -> MigrationController:
    """Return the one controller of this process; it holds no state."""
    return MigrationController()


def _user(user_id: int | str) -> User:
    name = str(user_id)
    by_key = name.isascii() and name.isdecimal()
    found = User.objects.filter(pk=int(name)) if by_key else User.objects.filter(username=name)
    user = found.first()
    if user is None:
        raise NotFoundError(f"There is no user {user_id!r}.")
    return user


def _find(migration_id: str | UUID) -> Plan | None:
    try:
        key = migration_id if isinstance(migration_id, UUID) else UUID(str(migration_id))
    except ValueError:
        return None
    return Plan.objects.filter(pk=key).first()


def _plan(migration_id: str | UUID) -> Plan:
    plan = _find(migration_id)
    if plan is None:
        raise NotFoundError(f"There is no plan {migration_id}.")
    return plan


def _who(actor: User | None) -> str:
    return actor.username if actor else SYSTEM


def _in_the_way(plan: Plan) -> str:
    running = (
        Plan.objects.filter(user=plan.user, status=PlanStatus.IN_PROGRESS, kind__in=PERSON_KINDS)
        .exclude(pk=plan.pk)
        .first()
    )
    named = f" ({running.pk})" if running else ""
    return f"Another plan{named} is in progress here; wait for it or cancel it first."


def _check_still_current(plan: Plan) -> None:
    if plan.kind != PlanKind.MIGRATE or plan.status != PlanStatus.PENDING or plan.user is None:
        return
    if preference_of(plan.user).version != plan.preference_version:
        raise ConflictError(
            "The person's engine was changed since this plan was made; make a new one."
        )


def _check_can_be_taken_back(plan: Plan) -> None:
    if plan.kind not in (PlanKind.MIGRATE, PlanKind.RE_EMBED):
        raise InvalidRequestError(f"A {plan.kind} plan cannot be rolled back.")
    if plan.status != PlanStatus.COMPLETED:
        raise ConflictError(f"The plan is {plan.status}; only a completed one can be rolled back.")
    if plan.retention_until is not None and plan.retention_until < timezone.now():
        raise ConflictError("The old index was let go when its retention ended; migrate instead.")
    later = _moving_the_same(plan).filter(finished_at__gt=plan.finished_at).first()
    if later is not None:
        raise ConflictError(f"A later plan ({later.pk}) came after it; roll that one back first.")


def _moving_the_same(plan: Plan) -> QuerySet[Plan]:
    """Return the completed plans about a base of this one: a migration is about all of them."""
    completed = Plan.objects.filter(
        kind__in=[PlanKind.MIGRATE, PlanKind.RE_EMBED], status=PlanStatus.COMPLETED
    ).exclude(pk=plan.pk)
    if plan.base_id is None:
        return completed.filter(user=plan.user)
    whole = Q(user=plan.user, base=None) if plan.user_id is not None else Q()
    return completed.filter(Q(base=plan.base) | whole)
