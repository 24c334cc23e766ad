"""Plans over the API: made, shown, started, followed; and what an earlier run left, put right."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape

from deploy.demo.errors import DemoError
from deploy.demo.models.engine_files import NEW, OLD
from deploy.demo.progress_view import StepWaitsError, follow
from deploy.demo.rest import Api, ApiProblemError

MIB = 1024 * 1024
_CONFLICT = 409

Row = dict[str, Any]


def make_plan(console: Console, api: Api, to_engine: str) -> str:
    """Plan a migration and print its preview; return the plan's id."""
    plan = api.post("plans", {"to_engine": to_engine})
    preview = api.get(f"plans/{plan['id']}/preview")
    console.print(
        f"  Preview: {preview['from_engine'] or 'no engine'} → {preview['to_engine']}; "
        f"bases {len(preview['bases'])}, chunks {preview['chunks']}, "
        f"texts to embed {preview['to_embed']}, to fetch {preview['bytes_to_fetch'] / MIB:.1f} MiB, "
        f"adapters affected {len(preview['adapters'])}, about {preview['estimated_minutes']} min"
    )
    for warning in preview["warnings"]:
        console.print(f"  [yellow]Note:[/] {escape(warning)}")
    return str(plan["id"])


def execute(console: Console, api: Api, plan_id: str) -> Row:
    """Start a plan and follow it to its end; anything but completed is an error."""
    api.post(f"plans/{plan_id}/execute")
    return _completed(follow(console, api, plan_id))


def roll_back(console: Console, api: Api, plan_id: str) -> Row:
    """Take a completed plan back and follow the way; return the rollback's plan."""
    rollback = api.post(f"plans/{plan_id}/roll-back")
    return _completed(follow(console, api, rollback["id"]))


def ensure_old_engine(console: Console, ada: Api, admin: Api) -> None:
    """Bring Ada to the old engine from wherever an earlier run left her."""
    for plan in [row for row in ada.rows("plans") if row["status"] == "in_progress"]:
        console.print(f"  An earlier run left its {plan['kind']} plan running; it goes on first.")
        _finish(console, ada, admin, plan["id"])
    for plan in [row for row in ada.rows("plans") if _is_new_engine(row)]:
        _take_back_if_possible(console, ada, plan)
    if ada.get("preferences")["effective_engine_id"] != OLD.model_id:
        execute(console, ada, make_plan(console, ada, OLD.model_id))


def ensure_engine_chosen(api: Api, engine_id: str) -> None:
    """Choose an engine at once, for somebody who has nothing to move along."""
    if api.get("preferences")["effective_engine_id"] != engine_id:
        api.edit("preferences", {"active_engine_id": engine_id})


def _is_new_engine(plan: Row) -> bool:
    return (plan["kind"], plan["to_engine"], plan["status"]) == (
        "migrate",
        NEW.model_id,
        "completed",
    )


def _finish(console: Console, ada: Api, admin: Api, plan_id: str) -> None:
    try:
        follow(console, ada, plan_id)
    except StepWaitsError as error:
        console.print(f"  {escape(str(error))} It is abandoned; nothing was switched.")
        admin.post(f"plans/{plan_id}/abandon")


def _take_back_if_possible(console: Console, ada: Api, plan: Row) -> None:
    try:
        roll_back(console, ada, plan["id"])
    except ApiProblemError as error:
        if error.status != _CONFLICT:
            raise
        console.print(f"  {escape(str(error))}")


def _completed(plan: Row) -> Row:
    if plan["status"] != "completed":
        raise DemoError(
            f"The {plan['kind']} plan ended as {plan['status']}: "
            f"{plan['error_message'] or 'no reason given'}"
        )
    return plan
