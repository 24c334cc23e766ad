"""The front door to migrations: REST, admin, wizard and command line all come through here."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import cache
from typing import cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q

from engines.exceptions import (
    ConflictError,
    HostUnavailableError,
    InvalidRequestError,
    NotFoundError,
    SamError,
)
from engines.models import CatalogModel, KnowledgeBase
from engines.services.catalog.entries import get_model, is_offered, require_offered
from engines.services.engine_choice import effective_engine
from engines.services.hosts import LEAVING, refuse_leaving_host
from engines.services.people.lookup import person_named
from engines.services.people.preferences import preference_of
from engines.services.people.roles import is_curator
from migrations_app.models import Plan, Step
from migrations_app.plans.actions import legal_actions, require_legal
from migrations_app.plans.planning import (
    Options,
    choose_other_host,
    plan_migration,
    plan_re_embed,
    plan_rollback,
    refuse_without_index,
    require_start_ahead,
)
from migrations_app.plans.preview import (
    PlanPreview,
    preview_of,
    preview_with_prompts,
)
from migrations_app.plans.schedule import list_due_plans
from migrations_app.plans.transitions import (
    OPTIONS_OF,
    PlanChange,
    change_plan,
    complete_with_warning,
    confirm_plan,
    is_switched,
    move_plan,
    request_cancel,
    request_pause,
    resume_plan,
    retry_step,
    start_plan,
    withdraw_confirmation,
)
from migrations_app.states import PERSON_KINDS, PLAN_OPEN, PlanAction, PlanKind, PlanStatus
from migrations_app.steps.sample import sample_for

logger = logging.getLogger(__name__)

SYSTEM = "system"
LEFT_FOR_WAY_BACK = "What follows the switch was left out: the plan is taken back."
MAKE_IT_AGAIN = "make the plan again, and another host is chosen."
MOVE_IT = "move the plan to another host (`sam plan move`, or `move` over REST; operators may), or make it again."
ABANDONED = (
    "What follows the switch was abandoned: the engine is loaded when it is first asked, and the one "
    "before it leaves memory when room is needed."
)


class PlanInTheWayError(ConflictError):
    """Another plan of the same person or base is in progress; the same call may succeed after it."""


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
        not_before: datetime | None = None,
        accept_losses: bool = False,
        actor: User | None = None,
    ) -> str:
        """Make a pending plan for one person and return its id; nothing is changed yet.

        ``user_id`` is a key or a user name; ``from_engine`` may be ``"current"``.
        """
        options = Options(backup_lora, re_embed, update_prompts, not_before, accept_losses)
        plan = plan_migration(person_named(user_id), from_engine, to_engine, options, actor=actor)
        return plan.migration_id

    def create_re_embed_plan(
        self,
        base: KnowledgeBase,
        engine: str | None = None,
        *,
        actor: User,
        accept_losses: bool = False,
    ) -> str:
        """Make a pending plan that gives one base the embedder of an engine, or of its owner's."""
        chosen = get_model(engine) if engine else None
        if chosen is not None and not _sees_hidden(base, actor):
            require_offered(actor, chosen)
        plan = plan_re_embed(base, chosen, actor=actor, accept_losses=accept_losses)
        return plan.migration_id

    def preview_migration(self, migration_id: str | UUID) -> PlanPreview:
        """Count again what a pending plan would touch, with the prompts that change.

        A started one keeps what it promised; the prompts are not a part of that.
        """
        plan = _plan(migration_id)
        if plan.status != PlanStatus.PENDING:
            return cast("PlanPreview", plan.preview)
        preview = preview_of(plan)
        plan.preview = dict(preview)
        plan.save(update_fields=["preview"])
        shown = preview_with_prompts(plan, preview)
        sample = sample_for(plan)
        return shown if sample is None else cast("PlanPreview", {**shown, "sample": sample})

    def change_migration(
        self, migration_id: str | UUID, change: PlanChange, *, actor: User | None = None
    ) -> Plan:
        """Give a pending plan other options or another time, and count again what it would touch.

        It has to be confirmed (again) after that. Raises InvalidRequestError for options that this
        plan does not have, IllegalMoveError when it has started or ended.
        """
        plan = _plan(migration_id)
        if change.options.keys() - OPTIONS_OF.get(PlanKind(plan.kind), frozenset()):
            raise InvalidRequestError("Only a migration has these options; change its time alone.")
        require_start_ahead(change.not_before)
        if change.re_embed is False and plan.user is not None:
            refuse_without_index(plan.user)
        changed = change_plan(plan.pk, change, who=_who(actor))
        self.preview_migration(changed.pk)
        return changed

    def execute_migration(self, migration_id: str | UUID, *, actor: User | None = None) -> bool:
        """Start a pending plan; True when it runs, or will by itself at its time.

        ConflictError names a plan in its way, or what has changed since it was made.
        """
        plan = _plan(migration_id)
        if plan.status == PlanStatus.PENDING:
            _refuse_outdated(plan)
        try:
            confirm_plan(plan.pk, who=_who(actor))
        except IntegrityError as error:
            raise PlanInTheWayError(_in_the_way(plan)) from error
        return True

    def execute_where_possible(
        self, migration_id: str | UUID, *, actor: User | None = None
    ) -> bool:
        """Start a pending plan of which nobody is at hand to move it: on another host where its own is leaving.

        Raises as ``execute_migration``, and HostUnavailableError where no other host is active.
        """
        plan = _plan(migration_id)
        if plan.host is not None and plan.host.status in LEAVING:
            self.move_migration(plan.pk, actor=actor)
        return self.execute_migration(plan.pk, actor=actor)

    def start_due_migrations(self) -> int:
        """Start the confirmed plans whose time has come; returns how many.

        One that cannot start any more is shown to be confirmed again, with the reason; one that only
        waits for another plan or a host stays as it is.
        """
        return sum(self._start_due(plan) for plan in list_due_plans())

    def _start_due(self, plan: Plan) -> bool:
        try:
            return self.execute_where_possible(plan.pk)
        except (PlanInTheWayError, HostUnavailableError) as error:
            logger.info("plan %s is due and waits: %s", plan.pk, error)
        except SamError as error:
            withdraw_confirmation(plan.pk, who=SYSTEM, why=str(error))
        return False

    def get_migration_status(self, migration_id: str | UUID) -> Plan | None:
        """Return the plan, or None when there is none of this id."""
        return _find(migration_id)

    def cancel_migration(self, migration_id: str | UUID, *, actor: User | None = None) -> bool:
        """Ask a plan to stop and undo itself; ConflictError after the switch."""
        request_cancel(_plan(migration_id).pk, who=_who(actor))
        return True

    def pause_migration(self, migration_id: str | UUID, *, actor: User | None = None) -> Plan:
        """Have a download wait: its parts stay, and its host's worker is free; IllegalMoveError for others."""
        return request_pause(_plan(migration_id).pk, who=_who(actor))

    def resume_migration(self, migration_id: str | UUID, *, actor: User | None = None) -> Plan:
        """Have a paused download go on from what has arrived."""
        return resume_plan(_plan(migration_id).pk, who=_who(actor))

    def roll_back_migration(self, migration_id: str | UUID, *, actor: User | None = None) -> str:
        """Start taking a switched plan back; returns the id of the plan that does it.

        What the plan still had to do after its switch is left out, and it ends with a warning.
        """
        original = _plan(migration_id)
        require_legal(original, PlanAction.ROLL_BACK)
        try:
            with transaction.atomic():
                return self._start_way_back(original, actor)
        except IntegrityError as error:
            if (begun := _way_back_of(original)) is not None:
                # Asked for twice at one moment.
                return begun.migration_id
            raise PlanInTheWayError(_in_the_way(original)) from error

    def _start_way_back(self, original: Plan, actor: User | None) -> str:
        if original.status == PlanStatus.IN_PROGRESS:
            complete_with_warning(original.pk, who=_who(actor), warning=LEFT_FOR_WAY_BACK)
        plan = _way_back_of(original) or plan_rollback(original, actor=actor)
        start_plan(plan.pk, who=_who(actor))
        return plan.migration_id

    def retry_step(self, migration_id: str | UUID, *, actor: User | None = None) -> Step:
        """Try a step again that waits for an operator."""
        return retry_step(_plan(migration_id).pk, who=_who(actor))

    def abandon_migration(self, migration_id: str | UUID, *, actor: User | None = None) -> bool:
        """Give up what is left of a plan, and free its person.

        Before the switch nothing was changed and the plan ends as cancelled; after it the switch stays
        and the plan ends as completed, with a warning.
        """
        plan = _plan(migration_id)
        require_legal(plan, PlanAction.ABANDON)
        if is_switched(plan):
            complete_with_warning(plan.pk, who=_who(actor), warning=ABANDONED)
        else:
            request_cancel(plan.pk, who=_who(actor))
        return True

    def move_migration(
        self, migration_id: str | UUID, host: str | None = None, *, actor: User | None = None
    ) -> Plan:
        """Give what is left of a plan to another host: the named one, or the one that suits best.

        Raises ConflictError while a worker holds a step, HostUnavailableError when no other is active.
        """
        plan = _plan(migration_id)
        require_legal(plan, PlanAction.MOVE)
        target = choose_other_host(plan, host)
        return move_plan(plan.pk, target, who=_who(actor), why="Asked for.")

    def legal_actions(self, migration_id: str | UUID) -> list[PlanAction]:
        """Return what may be asked of a plan now."""
        return legal_actions(_plan(migration_id))


@cache
def get_migration_controller() -> MigrationController:
    """Return the one controller of this process; it holds no state."""
    return MigrationController()


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


def _way_back_of(original: Plan) -> Plan | None:
    """Return the plan that takes another back, while it has not ended."""
    return original.rollbacks.filter(status__in=PLAN_OPEN).first()


def _who(actor: User | None) -> str:
    return actor.username if actor else SYSTEM


def _in_the_way(plan: Plan) -> str:
    """Name the plan of the same person, or of the same group's base, that runs already."""
    of_person = Q(user=plan.user_id, kind__in=PERSON_KINDS)
    same = Q(base=plan.base_id) if plan.user_id is None else of_person
    running = Plan.objects.filter(same, status=PlanStatus.IN_PROGRESS).exclude(pk=plan.pk).first()
    named = f" ({running.pk})" if running else ""
    return f"Another plan{named} is in progress here; wait for it or cancel it first."


def _refuse_outdated(plan: Plan) -> None:
    """Raise ConflictError for a pending plan that the world has overtaken since it was made.

    Its host is leaving, the person's engine was changed, or the new one was withdrawn or reserved for
    others. The way back is not asked what is offered: what a person had stays theirs.
    """
    movable = PlanAction.MOVE in legal_actions(plan)
    refuse_leaving_host(plan.host, way_out=MOVE_IT if movable else MAKE_IT_AGAIN)
    engine, person = plan.to_engine, plan.user
    if plan.kind not in (PlanKind.MIGRATE, PlanKind.RE_EMBED) or person is None:
        return
    migrates = plan.kind == PlanKind.MIGRATE
    if migrates and preference_of(person).version != plan.preference_version:
        raise ConflictError(
            "The person's engine was changed since this plan was made; make a new one."
        )
    if engine is not None and migrates and plan.re_embed_knowledge:
        _refuse_other_embedder(plan, engine)
    own, _ = effective_engine(person)
    stays = not migrates and own is not None and engine == own.embedder
    if engine is not None and not stays and not is_offered(person, engine):
        raise ConflictError(
            f"{engine.model_id} is not offered to {person.get_username()} any more; make a plan to "
            "another engine."
        )


def _refuse_other_embedder(plan: Plan, engine: CatalogModel) -> None:
    """Raise ConflictError where knowledge would move to an embedder that is the engine's no more."""
    pinned = plan.embedder_revision
    if pinned is not None and pinned.model != engine.embedder:
        raise ConflictError(
            f"{engine.model_id} embeds with {engine.embedder.model_id} now, and with {pinned.model.model_id} when this "
            "plan was made; make a new one."
        )


def _sees_hidden(base: KnowledgeBase, actor: User) -> bool:
    """Whether somebody chooses for a group's base by their office, and so also what is not published."""
    return base.owner_id is None and is_curator(actor)
