"""``sam folder``: folders of hosts that the server itself keeps bases in step with."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from samproject.cli.folders.watching import read_seconds
from samproject.cli.session import Session, command, make_group, pick

folder = make_group("Folders of hosts that knowledge bases are kept in step with.")

Number = Annotated[int, typer.Argument(help="Its number, as `sam folder list` shows it.")]


@command(folder, "list")
def list_folders(session: Session) -> None:
    """Show the folders of the bases you may read, and how the last look at each went."""
    rows = session.api.rows("/watched-folders")
    shown = [
        [
            *pick(row, "id", "base", "host"),
            row["path"] or row["name"],
            f"{row['every_seconds']}s",
            *pick(row, "looked_at", "unchanged", "updated", "added", "refused", "problem"),
        ]
        for row in rows
    ]
    session.table(
        [
            *("folder", "base", "host", "path", "every", "last look"),
            *("unchanged", "updated", "new", "refused", "problem"),
        ],
        shown,
        rows,
    )


@command(folder, "add")
def add_folder(
    session: Session,
    path: Annotated[str, typer.Argument(help="Its whole path on the host.")],
    base: Annotated[int, typer.Option(help="The base, by its number in `sam base list`.")],
    host: Annotated[str, typer.Option(help="The host that sees the folder.")],
    every: Annotated[str, typer.Option(help="How often to look: 30s, 5m or 1h.")] = "5m",
    keep_deleted: Annotated[
        bool, typer.Option("--keep-deleted", help="Keep documents whose files are gone.")
    ] = False,
) -> None:
    """Keep a base in step with a folder of a host; administrators only."""
    wish = {
        "base_id": base,
        "host": host,
        "path": path,
        "every_seconds": read_seconds(every),
        "keep_deleted": keep_deleted,
    }
    made: dict[str, Any] = session.api.post("/watched-folders", wish)
    session.show(
        made, f"{made['path']} is folder {made['id']}; its host looks at it every {every}."
    )


@command(folder, "remove")
def remove_folder(session: Session, number: Number) -> None:
    """Look at a folder no more; its documents stay."""
    session.api.delete(f"/watched-folders/{number}")
    session.say("Not watched any more; its documents stay.")


@command(folder, "look-now")
def look_now(session: Session, number: Number) -> None:
    """Have a folder looked at as soon as its host can."""
    session.show(
        session.api.post(f"/watched-folders/{number}/look-now"), "Its host is called to look now."
    )
