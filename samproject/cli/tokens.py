"""``sam token``: a person's tokens for programs, made, listed and ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from samproject.cli.errors import CommandError
from samproject.cli.passwords import exchange_password
from samproject.cli.session import Session, pick

NAME = "command line"


class Scope(StrEnum):
    """What a token reaches."""

    ALL = "all"
    READ = "read"
    ANSWERS = "answers"


def make_token(
    session: Session,
    person: Annotated[
        str | None,
        typer.Argument(
            metavar="[USER]",
            help="Whose; leave it out where you are signed in elsewhere: it is your own, for your password.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What it is for.")] = NAME,
    scope: Annotated[Scope, typer.Option(help="What it reaches.")] = Scope.ALL,
    days: Annotated[int, typer.Option(min=0, max=36_500, help="Days until it ends; 0: never.")] = 0,
) -> None:
    """Print a new API token of a person; its key is shown this once."""
    session.person = person or session.person
    asked = {"name": name, "scope": scope.value, "expires_in_days": days}
    api, server = session.api, session.server
    made = (
        exchange_password(server, asked, api.get("/me")["username"])
        if server
        else api.post("/tokens", asked)
    )
    session.show(made, made["token"])


def show_tokens(
    session: Session,
    end: Annotated[str, typer.Option(metavar="ID", help="End one of them, or all.")] = "",
) -> None:
    """List a person's API tokens, or end them."""
    if end:
        _end(session, end)
    else:
        _list(session)


def _list(session: Session) -> None:
    found = session.api.rows("/tokens")
    columns = ["id", "name", "scope", "created_at", "expires_at", "last_used_at"]
    rows = [pick(row, *columns) for row in found]
    session.table(["id", "name", "scope", "made", "ends", "last used"], rows, found)


def _end(session: Session, which: str) -> None:
    known: list[Any] = session.api.rows("/tokens")
    ended = [row for row in known if which in ("all", str(row["id"]))]
    if not ended and which != "all":
        raise CommandError(f"There is no token {which}; `sam tokens` lists them.")
    for row in ended:
        session.api.delete(f"/tokens/{row['id']}")
    session.say(f"Ended: {len(ended)}.")
