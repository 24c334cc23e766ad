"""All commands in one place."""

from __future__ import annotations

import os
import sys

import typer

from samproject.cli import (
    accounts,
    audit,
    hosts,
    knowledge,
    own,
    people,
    sign_in,
    tokens,
)
from samproject.cli.errors import CommandError
from samproject.cli.folders import attached
from samproject.cli.library import catalog
from samproject.cli.planning import moves, plans
from samproject.cli.session import command
from samproject.cli.talk.chat import chat
from samproject.cli.talk.conversations import conversations
from samproject.cli.trying import commands as trying

HELP = """Change the AI engine behind people's assistants without losing anything and without a pause.

Commands act on the SAM that `sam login` named, or else on the one whose database this machine reaches."""
EPILOG = """`sam up` starts SAM on this machine. `sam generate`, `stream`, `embed`, `fit` and `recommend` need no server:
they try or judge a model on this machine. `sam django help` lists what Django brings."""

app = typer.Typer(
    name="sam",
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, group in {
    "plan": plans.app,
    "move": moves.move,
    "catalog": catalog.catalog,
    "download": catalog.download,
    "preference": people.preference,
    "adapter": people.adapter,
    "base": knowledge.base,
    "documents": knowledge.documents,
    "folder": attached.folder,
    "template": people.template,
    "usage": people.usage,
    "host": hosts.host,
    "fallback": hosts.fallback,
    "default": hosts.default,
    "people": accounts.people,
    "role": accounts.role,
    "conversations": conversations,
    "backup": own.backup,
    "audit": audit.audit,
}.items():
    app.add_typer(group, name=name)
sign_in.register(app)
trying.register(app)
command(app, "chat")(chat)
command(app, "search")(knowledge.search)
command(app, "token")(tokens.make_token)
command(app, "tokens")(tokens.show_tokens)
command(app, "notices")(own.show_notices)
command(app, "sessions")(own.show_sessions)
command(app, "unlock")(accounts.unlock)

NAMES = frozenset(
    [str(group.name) for group in app.registered_groups]
    + [str(each.name) for each in app.registered_commands]
)
"""What is run here; everything else is a command of Django's or of a package."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells give it."""


def run() -> None:
    """Run what the command line says; what cannot be done ends with a sentence and exit code 1."""
    try:
        app()
    except CommandError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stdout.flush()
        # Beside the database this process serves the request itself, in threads that would be waited for:
        # a search that no host answers holds the prompt for half a minute.
        os._exit(INTERRUPTED)
