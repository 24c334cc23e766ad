"""``sam plan``: create, preview, execute, cancel, roll back, look."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from samproject.cli.completion import complete_models, complete_plans
from samproject.cli.errors import CommandError
from samproject.cli.planning.waiting import follow_plan
from samproject.cli.session import Cell, Session, command, make_group, pick
from samproject.cli.shown import show_moment

app = make_group("Plans: what SAM does to people and hosts that takes time.")


def _whole_id(text: str) -> str:
    """Return an id as it was given; what is none would be asked for at an address that is none."""
    try:
        UUID(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text} is no plan's id; `sam plan list` shows them whole."
        ) from None
    return text


PlanId = Annotated[
    str,
    typer.Argument(
        metavar="PLAN",
        help="Its id, as `sam plan list` shows it.",
        autocompletion=complete_plans,
        callback=_whole_id,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Show the progress to the end.")]
SHOWN = 50


BACKUP = typer.Option("--backup-lora/--no-backup-lora", help="Adapters into the archive.")
RE_EMBED = typer.Option("--re-embed/--no-re-embed", help="Move the knowledge along.")
PROMPTS = typer.Option("--update-prompts/--no-update-prompts", help="Take the family's prompts.")
LOSSES = typer.Option(
    "--accept-losses/--no-accept-losses",
    help="Go on where the new embedder understands texts worse.",
)
Backup = Annotated[bool, BACKUP]
ReEmbed = Annotated[bool, RE_EMBED]
Prompts = Annotated[bool, PROMPTS]
Time = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="When it starts by itself once it is executed, like 2026-12-24T03:00+01:00.",
    ),
]


@command(app)
def create(  # noqa: PLR0913 - a parameter is an option
    session: Session,
    to_engine: Annotated[
        str, typer.Argument(help="The engine to move to.", autocompletion=complete_models)
    ],
    from_engine: Annotated[str, typer.Option(help="The engine to move from.")] = "current",
    backup_lora: Backup = True,
    re_embed: ReEmbed = True,
    update_prompts: Prompts = True,
    accept_losses: Annotated[bool, LOSSES] = False,
    not_before: Time = None,
) -> None:
    """Plan a migration to another engine; nothing starts yet. Prints the plan's id."""
    asked = {
        "from_engine": from_engine,
        "to_engine": to_engine,
        "backup_lora": backup_lora,
        "re_embed": re_embed,
        "update_prompts": update_prompts,
        "accept_losses": accept_losses,
        "not_before": _moment(not_before),
    }
    plan = session.api.post("/plans", asked)
    session.show(plan, plan["id"])


@command(app)
def change(  # noqa: PLR0913 - a parameter is an option
    session: Session,
    plan: PlanId,
    backup_lora: Annotated[bool | None, BACKUP] = None,
    re_embed: Annotated[bool | None, RE_EMBED] = None,
    update_prompts: Annotated[bool | None, PROMPTS] = None,
    accept_losses: Annotated[bool | None, LOSSES] = None,
    not_before: Time = None,
    at_once: Annotated[bool, typer.Option("--at-once", help="Starts when it is executed.")] = False,
) -> None:
    """Give a plan that has not started other options or another time; execute it again then."""
    wanted = {
        "backup_lora": backup_lora,
        "re_embed": re_embed,
        "update_prompts": update_prompts,
        "accept_losses": accept_losses,
    }
    body: dict[str, Any] = {name: on for name, on in wanted.items() if on is not None}
    if not_before is not None and at_once:
        raise CommandError("--at-once and --not-before exclude each other; give one of them.")
    if not_before is not None or at_once:
        body["not_before"] = None if at_once else _moment(not_before)
    changed = session.api.patch(f"/plans/{plan}", body)
    session.show(changed, f"It starts {_describe_start(changed)}. Execute it when you agree.")


@command(app, "re-embed")
def plan_re_embedding(
    session: Session,
    base: Annotated[int, typer.Argument(help="The base's number, as `sam base list` shows it.")],
    engine: Annotated[
        str | None, typer.Option(help="Whose embedder; its owner's unless given.")
    ] = None,
    accept_losses: Annotated[bool, LOSSES] = False,
    wait: Wait = False,
) -> None:
    """Re-embed one knowledge base with another engine's embedder, beside the live index."""
    body: dict[str, Any] = {} if engine is None else {"engine": engine}
    body["accept_losses"] = accept_losses
    plan = session.api.post(f"/knowledge-bases/{base}/re-embed", body)
    session.show(plan, f"Started: plan {plan['id']}.")
    if wait:
        follow_plan(session, plan["id"])
        session.say("Re-embedded.")


@command(app)
def preview(session: Session, plan: PlanId) -> None:
    """Tell what a plan would do, as JSON."""
    session.show(session.api.get(f"/plans/{plan}/preview"))


@command(app)
def execute(session: Session, plan: PlanId, wait: Wait = False) -> None:
    """Start a plan."""
    started = session.api.post(f"/plans/{plan}/execute")
    is_later = started["status"] == "pending"
    sentence = f"It starts {_describe_start(started)}." if is_later else "Started."
    if not wait:
        session.show(started, sentence)
        return
    session.say(sentence)
    done = follow_plan(session, plan)
    warning = done.get("warning")
    session.show(done, f"Completed, with a warning: {warning}" if warning else "Completed.")


@command(app)
def cancel(session: Session, plan: PlanId) -> None:
    """Stop a plan before its switch."""
    asked = session.api.post(f"/plans/{plan}/cancel")
    session.show(asked, "Cancelled." if asked["status"] == "cancelled" else "Asked to stop.")


@command(app, "roll-back")
def roll_back(session: Session, plan: PlanId, wait: Wait = False) -> None:
    """Take a completed plan back."""
    way_back = session.api.post(f"/plans/{plan}/roll-back")
    session.show(way_back, f"Rolling back: plan {way_back['id']}.")
    if wait:
        follow_plan(session, way_back["id"])
        session.say("Rolled back.")


@command(app)
def pause(session: Session, plan: PlanId) -> None:
    """Have a download wait; what has arrived stays on its host."""
    session.show(session.api.post(f"/plans/{plan}/pause"), "Paused.")


@command(app)
def resume(session: Session, plan: PlanId) -> None:
    """Have a paused download go on from what has arrived."""
    session.show(session.api.post(f"/plans/{plan}/resume"), "It goes on from what has arrived.")


@command(app)
def retry(session: Session, plan: PlanId) -> None:
    """Try a step again that waits for an operator."""
    session.show(session.api.post(f"/plans/{plan}/retry"), "The step is tried again.")


@command(app)
def abandon(session: Session, plan: PlanId) -> None:
    """Give up what is left of a plan that waits for an operator or has switched."""
    ended = session.api.post(f"/plans/{plan}/abandon")
    session.show(ended, f"Abandoned. {ended.get('warning') or 'Nothing was changed.'}")


@command(app)
def move(
    session: Session,
    plan: PlanId,
    host: Annotated[str | None, typer.Option(help="The host that suits best unless given.")] = None,
) -> None:
    """Give what is left of a plan to another host."""
    moved = session.api.post(f"/plans/{plan}/move", {} if host is None else {"host": host})
    session.show(moved, f"Moved to {moved['host']}.")


@command(app, "list")
def list_plans(session: Session) -> None:
    """Show the newest plans."""
    plans = session.api.rows("/plans", limit=SHOWN)
    columns = ["plan", "kind", "user", "to", "status", "progress"]
    session.table(columns, map(_summarise, plans), plans)


def _summarise(plan: dict[str, Any]) -> list[Cell]:
    progress = f"{plan['progress_percentage']:.0f} %"
    return [*pick(plan, "id", "kind", "user", "to_engine", "status"), progress]


@command(app)
def status(session: Session, plan: PlanId) -> None:
    """Show a plan with its steps, its events and what can be done."""
    found = session.api.get(f"/plans/{plan}")
    if session.as_json:
        session.show(found)
        return
    progress = f"{found['progress_percentage']:.0f} %"
    session.say(f"{found['kind']} {found['id']}: {found['status']}, {progress}.")
    if found["status"] == "pending":
        agreed = "confirmed" if found["confirmed_at"] else "not confirmed yet"
        session.say(f"It starts {_describe_start(found)}; {agreed}.")
    for told in filter(None, (found.get("error_message"), found.get("warning"))):
        session.say(str(told))
    offers = ", ".join(str(action).replace("_", "-") for action in found["actions"])
    session.say(f"What can be done: {offers or 'nothing any more'}.")
    session.table(
        ["step", "host", "status", "progress", "detail"],
        [
            (s["kind"], s["host"], s["status"], f"{s['progress']:.0%}", s["error"] or s["detail"])
            for s in found["steps"]
        ],
    )
    _show_quality(session, found.get("quality"))
    session.table(
        ["at", "step", "from", "to", "who", "why"],
        [
            (e["at"], e["step"], e["from_status"], e["to_status"], e["who"], e["why"])
            for e in found["events"]
        ],
    )


def _show_quality(session: Session, quality: dict[str, Any] | None) -> None:
    """Show how well is found before and after, where that was measured."""
    if not quality:
        return
    groups = {"all": quality["whole"], **quality["scripts"]}
    session.table(
        ["texts in", "questions", "found before", "found after", "nDCG@10 before", "nDCG@10 after"],
        [
            (
                *(name, str(one["asked"]), f"{one['old_recall']:.0%}", f"{one['recall']:.0%}"),
                *(f"{one['old_ndcg']:.2f}", f"{one['ndcg']:.2f}"),
            )
            for name, one in groups.items()
        ],
    )


def _moment(text: str | None) -> str | None:
    """Return a time as the API takes it; one without a zone is UTC."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no time; write it like 2026-12-24T03:00.") from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


def _describe_start(plan: dict[str, Any]) -> str:
    return f"at {show_moment(plan['not_before'])}" if plan["not_before"] else "when it is executed"
