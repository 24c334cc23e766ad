"""``sam notices``, ``sessions``, ``backup``: what one was told, where one is signed in, what is kept."""

from __future__ import annotations

from typing import Annotated

import typer

from samproject.cli.session import Session, command, make_group, pick

backup = make_group(
    "Sealed backups: each is made and read back before a migration changes anything."
)

ALL = "all"
SHOWN = 50
MIB = 2**20


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
    rows = [
        (
            *pick(row, "id", "person", "plan"),
            f"{row['file_size'] / MIB:.1f} MiB",
            *pick(row, "created_at", "verified_at"),
        )
        for row in found
    ]
    session.table(["backup", "person", "plan", "size", "made", "verified"], rows, found)
