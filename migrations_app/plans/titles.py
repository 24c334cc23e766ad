"""A plan in a few words, the same on every face."""

from __future__ import annotations

from migrations_app.models import Plan
from migrations_app.states import PlanKind


def title_for(plan: Plan, reader_id: int | None = None) -> str:
    """Say what a plan does, to the person it is about or to somebody else.

    Without a reader it is for the staff: with who and from where, and without names of their content.
    """
    to = destination_of(plan)
    match PlanKind(plan.kind):
        case PlanKind.MIGRATE:
            start = plan.from_engine.display_name if plan.from_engine else ""
            origin = f" from {start}" if start and reader_id is None else ""
            return f"Move{_whom(plan, reader_id)}{origin} to {to}"
        case PlanKind.ROLLBACK:
            whom = _whom(plan, reader_id)
            return f"Take{whom} back to {to}" if whom else f"Go back to {to}"
        case PlanKind.RE_EMBED:
            return f"Re-embed {_knowledge(plan, reader_id)} with {to}"
        case PlanKind.BACKUP:
            return "Back up" + (_whom(plan, reader_id) or " everything you have here")
        case PlanKind.RESTORE:
            is_own = reader_id is not None and plan.user_id == reader_id
            return "Restore a backup" + ("" if is_own else f" of{_name_of(plan)}")
        case _:
            return _title_of_file_plan(plan, to)


def destination_of(plan: Plan) -> str:
    """Return where a plan leads: a way back may lead to having no engine, that of a base to its embedder."""
    if plan.to_engine is not None:
        return plan.to_engine.display_name
    return "the embedder before" if plan.base_id else "no engine"


def leaves_none(plan: Plan) -> bool:
    """Whether a plan moves somebody whom no engine answers: a first move, or one after such was taken back."""
    return plan.kind == PlanKind.MIGRATE and plan.from_engine is None


def _title_of_file_plan(plan: Plan, to: str) -> str:
    match PlanKind(plan.kind):
        case PlanKind.DOWNLOAD:
            return f"Download {to}" + (f" to {plan.host}" if plan.host else "")
        case PlanKind.DELETE:
            return f"Delete {to}" + (f" from {plan.host}" if plan.host else "")
        case _:
            return f"Verify {to}" + (f" on {plan.host}" if plan.host else "")


def _name_of(plan: Plan) -> str:
    name = plan.user.get_username() if plan.user else plan.restores_into
    return f" {name}"


def _whom(plan: Plan, reader_id: int | None) -> str:
    if plan.user is None:
        return ""
    return "" if plan.user_id == reader_id else f" {plan.user.get_username()}"


def _knowledge(plan: Plan, reader_id: int | None) -> str:
    if reader_id is not None and plan.user_id in (None, reader_id):
        return f"“{plan.base.name}”" if plan.base else "the knowledge"
    return f"the knowledge of {plan.user.get_username() if plan.user else 'a group'}"
