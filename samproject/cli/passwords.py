"""A password for a token: what a server gives to nobody who only has another token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from samproject.cli.client import Client
from samproject.cli.errors import RefusedError

SECOND_FACTOR = "second_factor"


def exchange_password(server: str, asked: Mapping[str, Any], username: str = "") -> dict[str, Any]:
    """Return a new token as ``asked``, for the password that is typed and the code that may be asked for."""
    stranger = Client.to_server(server)
    username = username or typer.prompt("User name", err=True)
    password = typer.prompt("Password", hide_input=True, err=True)
    wish = {**asked, "username": username, "password": password}
    try:
        return dict(stranger.post("/tokens", wish))
    except RefusedError as refused:
        if refused.code != SECOND_FACTOR:
            raise
        typer.echo(str(refused), err=True)
        code = typer.prompt("Code (or a recovery code)", default="", show_default=False, err=True)
        if not code:
            raise
    return dict(stranger.post("/tokens", {**wish, "code": code}))
