"""What people ask of a plan that has not started: other options, another time, their agreement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from engines.exceptions import IllegalMoveError
from engines.moments import moment_in_words
from migrations_app.models import Plan
from migrations_app.plans.notices import notify_of_plan_not_started
from migrations_app.plans.transitions.moves import (
    cancel_open_steps,
    lock_plan_and_steps,
    record,
)
from migrations_app.plans.transitions.requests import start_plan
from migrations_app.states import PlanKind, PlanStatus


@dataclass(frozen=True, slots=True)
class PlanChange:
    """What shall be other in a pending plan; None leaves a field as it is."""

    backup_lora: bool | None = None
    re_embed: bool | None = None
    update_prompts: bool | None = None
    accept_losses: bool | None = None
    not_before: datetime | None = None
    at_once: bool = False
    """Take its time away: it starts when it is confirmed."""

    @property
    def options(self) -> dict[str, bool]:
        """Return the options it names, by the plan's fields."""
        named = {
            "backup_lora_adapters": self.backup_lora,
            "re_embed_knowledge": self.re_embed,
            "update_prompt_templates": self.update_prompts,
            "accept_losses": self.accept_losses,
        }
        return {field: value for field, value in named.items() if value is not None}


OPTIONS_OF = {
    PlanKind.MIGRATE: frozenset(
        {"backup_lora_adapters", "re_embed_knowledge", "update_prompt_templates", "accept_losses"}
    ),
    PlanKind.RE_EMBED: frozenset({"accept_losses"}),
}
"""The options that plans of a kind have; those of other kinds have none."""


def change_plan(plan_id: UUID | str, change: PlanChange, *, who: str) -> Plan:
    """Change a pending plan; one that was confirmed has to be confirmed again.

    What starts by itself is exactly what somebody agreed to. Raises IllegalMoveError when the plan
    has started or ended. A change to what it is already is a no-op.
    """
    with transaction.atomic():
        plan = _lock_pending(plan_id)
        changed = _changed_fields(plan, change)
        if not changed:
            return plan
        words = [_words(field, value) for field, value in changed.items()]
        if plan.confirmed_at is not None:
            words.append("it has to be confirmed again")
        for field, value in changed.items():
            setattr(plan, field, value)
        plan.confirmed_at, plan.error_message = None, ""
        plan.save(update_fields=[*changed, "confirmed_at", "error_message"])
        record(plan, None, plan.status, plan.status, who=who, why=f"Changed: {', '.join(words)}.")
        return plan


def confirm_plan(plan_id: UUID | str, *, who: str) -> Plan:
    """Start a pending plan, or agree that it starts at its time when that is still to come.

    Raises what ``start_plan`` raises; confirming twice is a no-op.
    """
    with transaction.atomic():
        plan = lock_plan_and_steps(plan_id)
        waits = plan.not_before is not None and plan.not_before > timezone.now()
        if plan.status != PlanStatus.PENDING or not waits:
            return start_plan(plan_id, who=who)
        if plan.confirmed_at is None:
            plan.confirmed_at, plan.error_message = timezone.now(), ""
            plan.save(update_fields=["confirmed_at", "error_message"])
            why = f"Confirmed: {_words('not_before', plan.not_before)}."
            record(plan, None, plan.status, plan.status, who=who, why=why)
        return plan


def withdraw_confirmation(plan_id: UUID | str, *, who: str, why: str) -> bool:
    """Have somebody look again at a plan that could not start at its time; False when it is not confirmed."""
    with transaction.atomic():
        plan = lock_plan_and_steps(plan_id)
        if plan.status != PlanStatus.PENDING or plan.confirmed_at is None:
            return False
        plan.confirmed_at, plan.error_message = None, why
        plan.save(update_fields=["confirmed_at", "error_message"])
        record(plan, None, plan.status, plan.status, who=who, why=f"Not started: {why}")
        notify_of_plan_not_started(plan, why)
        return True


def drop_unconfirmed(plan_id: UUID | str, *, who: str, why: str) -> bool:
    """Cancel a plan that nobody has agreed to; False when somebody did meanwhile, or it ended."""
    with transaction.atomic():
        plan = lock_plan_and_steps(plan_id)
        if plan.status != PlanStatus.PENDING or plan.confirmed_at is not None:
            return False
        cancel_open_steps(plan, who=who, why=why)
        return True


def _lock_pending(plan_id: UUID | str) -> Plan:
    plan = lock_plan_and_steps(plan_id)
    if plan.status != PlanStatus.PENDING:
        raise IllegalMoveError(
            f"The plan is {plan.status}; only one that has not started can be changed."
        )
    return plan


def _changed_fields(plan: Plan, change: PlanChange) -> dict[str, bool | datetime | None]:
    wanted: dict[str, bool | datetime | None] = dict(change.options)
    if change.at_once:
        wanted["not_before"] = None
    elif change.not_before is not None:
        wanted["not_before"] = change.not_before
    return {field: value for field, value in wanted.items() if getattr(plan, field) != value}


def _words(field: str, value: bool | datetime | None) -> str:  # noqa: FBT001 - a field's value
    if isinstance(value, datetime):
        return f"it starts at {moment_in_words(value)}"
    if field == "not_before":
        return "it starts when it is confirmed"
    return f"{field.replace('_', ' ')} {'on' if value else 'off'}"
