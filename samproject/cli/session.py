"""What every command has: who is asked as, and how answers are written."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, wraps
from typing import IO, Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.table import Table

from samproject.cli.client import Client
from samproject.cli.errors import CommandError
from samproject.cli.profile import SERVER, find_profile
from samproject.cli.shown import show_moment

PLAIN_WIDTH = 200
"""Columns of output that is no terminal: ids must not be cut."""

Json = Annotated[bool, typer.Option("--json", help="Write what the API answered, for programs.")]
User = Annotated[
    str | None,
    typer.Option("--user", help="Act as this person; only on a machine that reaches the database."),
]

Cell = str | int | float | bool | None


class Session:
    """One run of a command."""

    def __init__(self, person: str | None = None, *, as_json: bool = False) -> None:
        self.person = person
        self.as_json = as_json
        self._has_shown = False

    @cached_property
    def api(self) -> Client:
        """Return the SAM that is signed in to, or else the one of this machine; CommandError."""
        profile = find_profile()
        if profile is None:
            # Django is loaded only where it is needed: it takes a second.
            local: Client = importlib.import_module("samproject.cli.local").connect(self.person)
            return local
        if self.person is not None:
            raise CommandError(
                f"You are signed in to {profile.server}, where you are who your token says: leave out "
                f"--user or the name. For the SAM of this machine run `sam logout` (or unset {SERVER}) first."
            )
        return Client.to_server(profile.server, profile.token)

    @property
    def server(self) -> str:
        """Return the address of the SAM that is signed in to; empty for that of this machine."""
        profile = find_profile()
        return profile.server if profile else ""

    def take_person(self) -> str | None:
        """Return whom --user named, for a command that is about them and asked by somebody else."""
        person, self.person = self.person, None
        return person

    def say(self, sentence: str) -> None:
        """Write a line for people; with --json only what the API answered is written."""
        if not self.as_json:
            typer.echo(sentence)

    def show(self, answer: object, sentence: str = "") -> None:
        """Write an answer of the API: as JSON, or as a sentence when one is given."""
        self._has_shown = True
        if self.as_json or not sentence:
            typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        else:
            typer.echo(sentence)

    def write_piece(self, piece: str) -> None:
        """Write a part of an answer while it comes: as it is, or with --json as a line of its own."""
        self._has_shown = True
        typer.echo(json.dumps({"text": piece}) if self.as_json else piece, nl=self.as_json)

    def end(self) -> None:
        """Write null when --json was asked for and nothing was shown: a program always reads JSON."""
        if self.as_json and not self._has_shown:
            self.show(None)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Cell]], answer: object = None
    ) -> None:
        """Write a table, its moments as people read them; with --json ``answer``, which the rows were made of."""
        if self.as_json:
            self.show(answer)
            return
        table = Table(*columns)
        for row in rows:
            table.add_row(*("" if value is None else show_moment(str(value)) for value in row))
        self.console().print(table)

    def console(self, file: IO[str] | None = None) -> Console:
        """Return a console on this command's output; what is no terminal gets long lines."""
        target = file or sys.stdout
        return Console(file=target, width=None if target.isatty() else PLAIN_WIDTH, markup=False)


def command(
    app: typer.Typer, name: str | None = None, *, acts_as_person: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command; its first parameter is the ``Session``.

    Every command gets ``--json`` besides its own parameters, and ``--user`` unless it asks no SAM.
    """

    def register(act: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(act, include_extras=True)
        _session, *own = inspect.signature(act).parameters.values()
        shared = [
            inspect.Parameter(
                "user", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=User
            ),
            inspect.Parameter(
                "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json
            ),
        ]
        shared = shared if acts_as_person else shared[1:]
        parameters = [each.replace(annotation=hints[each.name]) for each in own] + shared

        @wraps(act)
        def run(**given: Any) -> None:
            session = Session(given.pop("user", None), as_json=given.pop("as_json"))
            act(session, **given)
            session.end()

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        app.command(name)(run)
        return act

    return register


def make_group(help_text: str) -> typer.Typer:
    """Return a group of commands, which shows its help when none is named."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)


def pick(row: Mapping[str, Any], *names: str) -> list[Cell]:
    """Return some fields of a row of the API, in order."""
    return [row[name] for name in names]
