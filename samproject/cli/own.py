"""``sam notices``, ``sessions``, ``backup``: what one was told, where one is signed in, what is kept."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from samproject.cli.errors import CommandError
from samproject.cli.planning.waiting import follow_plan
from samproject.cli.session import Session, command, make_group, pick
from samproject.cli.shown import show_size

backup = make_group(
    "Sealed backups: made before a migration changes anything, by schedule, or now."
)

ALL = "all"
SHOWN = 50
Number = Annotated[
    int, typer.Argument(metavar="BACKUP", help="Its number, as `sam backup list` shows it.")
]
Person = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose; operators may name others.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Show the progress to the end.")]


def show_notices(
    session: Session,
    read: Annotated[
        str, typer.Option("--read", metavar="ID", help="Mark one of them, or all, as read.")
    ] = "",
) -> None:
    """Show what you were told, the newest first, or mark it as read."""
    if read == ALL:
        answer = session.api.post("/notices/read-all")
        session.show(answer, f"Read: {answer['read']}.")
    elif read:
        session.show(session.api.post(f"/notices/{read}/read"), "Read.")
    else:
        found = session.api.rows("/notices", limit=SHOWN)
        rows = [
            (*pick(row, "id", "created_at"), "" if row["read_at"] else "new", row["title"])
            for row in found
        ]
        session.table(["notice", "at", "", "what"], rows, found)


def show_sessions(
    session: Session,
    end: Annotated[str, typer.Option(metavar="ID", help="End one of them, or all.")] = "",
) -> None:
    """Show the browsers that you are signed in with, or end them."""
    if end:
        session.api.delete("/sessions" if end == ALL else f"/sessions/{end}")
        session.say("Ended.")
        return
    found = session.api.get("/sessions")
    columns = ["id", "created_at", "last_seen_at", "ip", "user_agent"]
    rows = [pick(row, *columns) for row in found]
    session.table(["session", "since", "last seen", "from", "browser"], rows, found)


@command(backup, "list")
def list_backups(session: Session) -> None:
    """Show your backups; an operator sees that everybody's are there."""
    found = session.api.rows("/backups")
    _show_backups(session, found, found)


@command(backup)
def make(session: Session, person: Person = None, wait: Wait = False) -> None:
    """Back up now."""
    plan = session.api.post("/backups", {} if person is None else {"person": person})
    session.show(plan, f"Started: plan {plan['id']}.")
    if wait:
        follow_plan(session, plan["id"])
        session.say("Backed up, and read back.")


@command(backup)
def verify(session: Session, number: Number) -> None:
    """Read all of a backup as a restore would; nothing is changed."""
    found = session.api.post(f"/backups/{number}/verify")
    session.show(found, f"The backup is whole and opens: {show_size(found['file_size'])}.")


@command(backup)
def restore(
    session: Session,
    number: Number,
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of what the person has, backed up first.")
    ] = False,
    into: Annotated[
        str | None, typer.Option(metavar="NAME", help="As a new person of this user name.")
    ] = None,
    person: Annotated[
        str | None, typer.Option(metavar="NAME", help="For another person who is here.")
    ] = None,
    wait: Wait = False,
) -> None:
    """Put a backup back; all of it is read before anything is changed."""
    body: dict[str, Any] = {"replace": replace}
    body |= {name: value for name, value in (("into", into), ("person", person)) if value}
    plan = session.api.post(f"/backups/{number}/restore", body)
    if not wait:
        session.show(plan, f"Started: plan {plan['id']}.")
        return
    session.say(f"Started: plan {plan['id']}.")
    done = follow_plan(session, plan["id"])
    session.show(done, f"Restored. {done['warning']}".strip())


@command(backup)
def prune(
    session: Session,
    keep: Annotated[
        int | None, typer.Option(min=1, help="How many; what the rule says unless given.")
    ] = None,
    person: Person = None,
) -> None:
    """Delete all but the newest backups; what a plan may need stays."""
    given = {"keep": keep, "person": person}
    pruned = session.api.post("/backups/prune", {k: v for k, v in given.items() if v is not None})
    kept = f" {pruned['needed']} more stay because a plan may need them." * bool(pruned["needed"])
    session.show(pruned, f"{pruned['removed']} deleted, {show_size(pruned['bytes'])}.{kept}")


@command(backup)
def delete(
    session: Session,
    number: Number,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Delete a backup with its key and its file, for good."""
    found = session.api.get(f"/backups/{number}")
    if not yes and not typer.confirm(
        f"Delete the backup of {found['person']} made {found['created_at']}, for good?", err=True
    ):
        raise CommandError("Nothing was deleted.")
    session.api.delete(f"/backups/{number}")
    session.say("Deleted.")


@command(backup)
def find(session: Session) -> None:
    """Enter archives of the store that nothing here knows, as after the loss of the database."""
    found = session.api.post("/backups/find")
    if found["backups"]:
        _show_backups(session, found["backups"], found)
    else:
        session.show(found, "Every archive of the store is known here.")
    for line in found["unreadable"]:
        session.say(line)


@command(backup)
def rule(
    session: Session,
    keep: Annotated[int | None, typer.Option(min=1, help="How many are kept.")] = None,
    every_hours: Annotated[
        int | None, typer.Option(min=0, help="How often; 0: only before migrations.")
    ] = None,
    organisation: Annotated[
        bool, typer.Option("--organisation", help="Everybody's who has none of their own.")
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Remove the rule.")] = False,
) -> None:
    """Show or set how often you are backed up and how many backups are kept."""
    address = "/backup-rules/organisation" if organisation else "/backup-rule"
    changes = {"keep": keep, "every_hours": every_hours}
    wanted = {name: value for name, value in changes.items() if value is not None}
    if clear and wanted:
        raise CommandError("--clear removes the rule; leave the other options out.")
    if clear:
        session.api.delete(address)
    holds = session.api.get(address)
    if wanted:
        now = {name: holds[name] for name in changes}
        holds = session.api.put(address, {**now, **wanted})
    often = f"every {holds['every_hours']} hours" if holds["every_hours"] else "before migrations"
    session.show(holds, f"Backed up {often}; the newest {holds['keep']} are kept.")


def _show_backups(session: Session, rows: list[dict[str, Any]], answer: object) -> None:
    cells = [
        (
            *pick(row, "id", "person", "reason", "plan"),
            show_size(row["file_size"]),
            *pick(row, "created_at", "verified_at"),
        )
        for row in rows
    ]
    columns = ["backup", "person", "why", "plan", "size", "made", "verified"]
    session.table(columns, cells, answer)
