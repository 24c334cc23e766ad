"""Following a plan to its end."""

from __future__ import annotations

import sys
from threading import Event
from typing import Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from samproject.cli.errors import CommandError
from samproject.cli.session import Session

POLL_SECONDS = 0.5
FINISHED = frozenset({"completed", "rolled_back"})
FINAL = FINISHED | {"failed", "cancelled"}
PAUSED = "paused"
NEEDS_OPERATOR = "needs_operator"


def follow_plan(session: Session, plan_id: str) -> dict[str, Any]:
    """Show a plan's progress until it ends, is paused or waits for an operator.

    CommandError unless it completed.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeElapsedColumn(),
    )
    # With --json the output is for programs, and the progress still for whoever looks on.
    console = session.console(sys.stderr if session.as_json else None)
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("waiting", total=100.0, pace="")
        state = session.api.get(f"/plans/{plan_id}/progress")
        while state["status"] not in FINAL | {PAUSED} and _waiting_step(state) is None:
            Event().wait(POLL_SECONDS)
            state = session.api.get(f"/plans/{plan_id}/progress")
            progress.update(
                bar,
                completed=state["percentage"],
                description=_describe_step(state),
                pace=state.get("now", {}).get("pace", ""),
            )
    return _require_finished(session.api.get(f"/plans/{plan_id}"))


def _describe_step(state: dict[str, Any]) -> str:
    running = next((step for step in state["steps"] if step["status"] == "in_progress"), None)
    if running is None:
        return str(state["current_step"] or state["status"])
    detail = state.get("now", {}).get("detail") or running["detail"]
    return f"{running['kind']}: {detail}".rstrip(": ")


def _waiting_step(plan: dict[str, Any]) -> dict[str, Any] | None:
    waiting = (step for step in plan["steps"] if step["status"] == NEEDS_OPERATOR)
    return next(waiting, None)


def _require_finished(plan: dict[str, Any]) -> dict[str, Any]:
    if plan["status"] in FINISHED:
        return plan
    waiting = _waiting_step(plan)
    if waiting is not None:
        raise CommandError(
            f"The step {waiting['kind']} waits for an operator: {waiting['error']} "
            f"Run `sam plan retry {plan['id']}` or `sam plan abandon {plan['id']}`."
        )
    if plan["status"] == PAUSED:
        raise CommandError(
            f"The download is paused; what has arrived is kept. Run `sam plan resume {plan['id']}`."
        )
    raise CommandError(f"The plan is {plan['status']}. {plan['error_message']}".strip())
