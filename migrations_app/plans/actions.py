"""What may be asked of a plan as it stands; every face offers this list and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q, QuerySet
from django.utils import timezone

from engines.exceptions import ConflictError
from migrations_app.models import Plan
from migrations_app.plans.transitions import is_held, is_switched
from migrations_app.states import (
    ABOUT_PEOPLE,
    ACTIONS_OF,
    PLAN_FINAL,
    PLAN_OPEN,
    PlanAction,
    PlanKind,
    PlanStatus,
    StepStatus,
)

CUT_ANEW = "cut_anew"
"""What a switch wrote that only exchanged passages: no index changed, so no later or earlier plan minds."""
TAKEN_BACK = frozenset({PlanKind.MIGRATE, PlanKind.RE_EMBED})


def legal_actions(plan: Plan) -> list[PlanAction]:
    """Return what the plan allows now, in the order in which it is offered."""
    possible = ACTIONS_OF[PlanStatus(plan.status)]
    return [action for action in possible if not explain_refusal(plan, action)]


def require_legal(plan: Plan, action: PlanAction) -> None:
    """Raise ConflictError, with what may be done instead, when the plan does not allow the action."""
    reason = explain_refusal(plan, action)
    if not reason:
        return
    others = ", ".join(legal_actions(plan)).replace("_", "-")
    offer = f"What can be done: {others}." if others else "Nothing can be done with it any more."
    raise ConflictError(f"{reason} {offer}")


def explain_refusal(plan: Plan, action: PlanAction) -> str:
    """Return the sentence why the plan does not allow an action; empty when it does."""
    if action == PlanAction.ROLL_BACK and plan.kind not in TAKEN_BACK:
        return f"A {plan.kind} plan cannot be rolled back."
    if action not in ACTIONS_OF[PlanStatus(plan.status)]:
        if action == PlanAction.ROLL_BACK:
            return f"The plan is {plan.status}; only a completed one can be rolled back."
        if plan.status in PLAN_FINAL:
            return f"The plan is {plan.status}; that is asked of an open one only."
        # What the action asks of a plan says more than its status does.
        return _REASONS[action](plan) or (
            f"The plan is {plan.status.replace('_', ' ')}; it does not allow that now."
        )
    return _REASONS[action](plan)


def _nothing(_plan: Plan) -> str:
    return ""


def _not_cancel(plan: Plan) -> str:
    if plan.cancel_requested_at is not None:
        return "The plan is asked to stop already."
    if is_switched(plan):
        return "The switch is already committed."
    return ""


def _not_roll_back(plan: Plan) -> str:
    if plan.status == PlanStatus.IN_PROGRESS:
        return "" if is_switched(plan) else "Nothing is switched yet; cancel the plan instead."
    if CUT_ANEW in plan.switched:
        return "It cut documents anew, which loses no word and no citation; there is no way back."
    ended = plan.retention_until is not None and plan.retention_until < timezone.now()
    # What a way back that is under way leads to is kept until it ends.
    if ended and not plan.rollbacks.filter(status__in=PLAN_OPEN).exists():
        return "The old index was let go when its retention ended; migrate instead."
    since = plan.finished_at or plan.created_at
    later = _moving_the_same(plan).filter(finished_at__gt=since).first()
    restored = Plan.objects.filter(
        kind=PlanKind.RESTORE, user=plan.user, status=PlanStatus.COMPLETED, finished_at__gt=since
    )
    if plan.user_id is not None and restored.exists():
        return "A backup was put back since, with the engine of that time; migrate instead."
    if later is not None:
        return f"A later plan ({later.pk}) came after it; roll that one back first."
    return ""


def _not_pause(plan: Plan) -> str:
    if plan.kind != PlanKind.DOWNLOAD:
        return "Only a download can be paused."
    if plan.cancel_requested_at is not None:
        return "The plan is asked to stop already."
    return "It waits for an operator." if _waits_for_operator(plan) else ""


def _not_retry(plan: Plan) -> str:
    return "" if _waits_for_operator(plan) else "No step of this plan waits for an operator."


def _not_abandon(plan: Plan) -> str:
    if _waits_for_operator(plan) or is_switched(plan):
        return ""
    return "No step of this plan waits for an operator; cancel it instead."


def _not_move(plan: Plan) -> str:
    if plan.kind not in ABOUT_PEOPLE or plan.host is None:
        return "Only a plan about a person can run on another host; make a new plan there."
    if is_held(plan):
        return f"A worker of {plan.host} holds one of its steps; wait until it ends."
    return ""


_REASONS: dict[PlanAction, Callable[[Plan], str]] = {
    PlanAction.EXECUTE: _nothing,
    PlanAction.PAUSE: _not_pause,
    PlanAction.RESUME: _nothing,
    PlanAction.CANCEL: _not_cancel,
    PlanAction.ROLL_BACK: _not_roll_back,
    PlanAction.RETRY: _not_retry,
    PlanAction.ABANDON: _not_abandon,
    PlanAction.MOVE: _not_move,
}


def _waits_for_operator(plan: Plan) -> bool:
    return plan.steps.filter(status=StepStatus.NEEDS_OPERATOR).exists()


def _moving_the_same(plan: Plan) -> QuerySet[Plan]:
    """Return the completed plans about a base of this one: a migration is about all of them."""
    completed = Plan.objects.filter(kind__in=TAKEN_BACK, status=PlanStatus.COMPLETED)
    others = completed.exclude(pk=plan.pk).exclude(switched__has_key=CUT_ANEW)
    if plan.base_id is None:
        return others.filter(user=plan.user)
    whole = Q(user=plan.user, base=None) if plan.user_id is not None else Q()
    return others.filter(Q(base=plan.base) | whole)
