"""``sam login``, ``logout``, ``whoami``: which SAM is asked, and as whom."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import typer

from samproject.cli.client import Client
from samproject.cli.errors import CommandError
from samproject.cli.passwords import exchange_password
from samproject.cli.profile import Profile, forget_profile, write_profile
from samproject.cli.session import Session, command

NAME = "sam login"
THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


def register(app: typer.Typer) -> None:
    """Add the commands to the top level."""
    command(app, "login")(sign_in)
    command(app, "logout")(sign_out)
    command(app, "whoami")(show_caller)


def sign_in(
    session: Session,
    server: Annotated[str, typer.Argument(help="Address of a SAM: https://sam.example.org")],
    token: Annotated[
        str | None,
        typer.Option(
            help="A token made on the tokens page; asked for name and password without it."
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="How long the new token holds.")] = 30,
) -> None:
    """Use a SAM on another machine from now on; its token is kept in a file that only you can read."""
    server = _origin(server)
    if is_readable_on_the_way(server):
        typer.echo(
            f"Beware: {server} is not encrypted; others on the way read password and token.",
            err=True,
        )
    if token is None:
        token = str(exchange_password(server, {"name": NAME, "expires_in_days": days})["token"])
    me = Client.to_server(server, token).get("/me")
    path = write_profile(Profile(server, token))
    session.show(me, f"Signed in to {server} as {me['username']}; kept in {path}.")


def sign_out(session: Session) -> None:
    """Forget the SAM on another machine; commands speak to the one of this machine again."""
    if not forget_profile():
        raise CommandError("You are not signed in anywhere.")
    session.say(
        "Signed out. The token stays valid until you end it under Settings, API tokens, or by `sam tokens --end` from where you are signed in."
    )


def show_caller(session: Session) -> None:
    """Show who you are there, and which engine answers you."""
    me = session.api.get("/me")
    roles = ", ".join(me["roles"]) or "user"
    engine = me["active_engine_id"] or "no engine yet"
    session.show(me, f"{me['username']} ({roles}); {engine}.")


def is_readable_on_the_way(server: str) -> bool:
    """Whether what is sent to an address leaves this machine unencrypted."""
    parts = urlsplit(server)
    return parts.scheme == "http" and parts.hostname not in THIS_MACHINE


def _origin(server: str) -> str:
    parts = urlsplit(server if "://" in server else f"https://{server}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError(f"{server} is no address; write it like https://sam.example.org.")
    return f"{parts.scheme}://{parts.netloc}"
