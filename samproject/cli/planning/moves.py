"""``sam move``: many people to one engine, planned and started in the background."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from samproject.cli.completion import complete_models
from samproject.cli.errors import CommandError
from samproject.cli.planning.plans import BACKUP, LOSSES, PROMPTS, RE_EMBED
from samproject.cli.session import Session, command, make_group, pick

move = make_group("Many people's moves to one engine; for operators.")

Number = Annotated[
    int, typer.Argument(metavar="MOVE", help="Its number, as `sam move list` shows it.")
]
Engine = Annotated[
    str, typer.Argument(help="The engine to move to.", autocompletion=complete_models)
]
Person = Annotated[
    list[str] | None, typer.Option("--person", metavar="NAME", help="Whom; may be given again.")
]
NamesFile = Annotated[
    Path | None,
    typer.Option("--people-file", exists=True, dir_okay=False, help="User names, one a line."),
]
Using = Annotated[
    str,
    typer.Option(
        metavar="ENGINE", help="Who is answered by this engine now.", autocompletion=complete_models
    ),
]
Group = Annotated[str, typer.Option(metavar="NAME", help="The members of this group.")]
Everybody = Annotated[bool, typer.Option("--everybody", help="All who may sign in.")]
SHOWN = 50


@command(move)
def preview(  # noqa: PLR0913 - a parameter is an option
    session: Session,
    to_engine: Engine,
    person: Person = None,
    people_file: NamesFile = None,
    using: Using = "",
    group: Group = "",
    everybody: Everybody = False,
) -> None:
    """Tell what moving them would mean; nothing is made."""
    body = {**_choice(person, people_file), "using": using, "group": group, "everybody": everybody}
    found = session.api.post("/mass-moves/preview", {**body, "to_engine": to_engine})
    session.show(
        found,
        f"{found['moved']} of {found['people']} people would be moved, with {found['passages']} "
        f"passages; {found['adapters']} adapters stop.",
    )
    _say_refusals(session, found["refusals"])


@command(move)
def start(  # noqa: PLR0913 - a parameter is an option
    session: Session,
    to_engine: Engine,
    person: Person = None,
    people_file: NamesFile = None,
    using: Using = "",
    group: Group = "",
    everybody: Everybody = False,
    at_once: Annotated[
        int | None,
        typer.Option(min=1, help="How many plans run at the same time; 20 unless given."),
    ] = None,
    backup_lora: Annotated[bool, BACKUP] = True,
    re_embed: Annotated[bool, RE_EMBED] = True,
    update_prompts: Annotated[bool, PROMPTS] = True,
    accept_losses: Annotated[bool, LOSSES] = False,
) -> None:
    """Move people to an engine; each gets a plan of their own. Prints the move's number."""
    body: dict[str, Any] = {
        **_choice(person, people_file),
        "using": using,
        "group": group,
        "everybody": everybody,
        "to_engine": to_engine,
        "backup_lora": backup_lora,
        "re_embed": re_embed,
        "update_prompts": update_prompts,
        "accept_losses": accept_losses,
    }
    if at_once is not None:
        body["at_once"] = at_once
    made = session.api.post("/mass-moves", body)
    session.show(made, str(made["id"]))


@command(move, "list")
def list_moves(session: Session) -> None:
    """Show the newest mass moves."""
    found = session.api.rows("/mass-moves", limit=SHOWN)
    columns = ["move", "to", "by", "people", "completed", "refused", "since", "ended"]
    rows = [
        (
            *pick(row, "id", "to_engine", "created_by"),
            sum(row["people"].values()),
            *pick(row["people"], "completed", "refused"),
            *pick(row, "created_at", "finished_at"),
        )
        for row in found
    ]
    session.table(columns, rows, found)


@command(move)
def status(session: Session, number: Number) -> None:
    """Show how far a mass move is, and why people were left out."""
    found = session.api.get(f"/mass-moves/{number}")
    counts = [f"{people} {state}" for state, people in found["people"].items() if people]
    session.show(found, f"To {found['to_engine']}: {', '.join(counts)}.".replace("_", " "))
    if found["pace"]:
        session.say(f"{found['pace']}.")
    if found["waits_for"]:
        session.say(f"It waits: {found['waits_for']}")
    _say_refusals(session, found["refusals"])


@command(move)
def people(
    session: Session,
    number: Number,
    state: Annotated[
        str, typer.Option(metavar="STATE", help="Only who is so, like refused or running.")
    ] = "",
) -> None:
    """Show each person of a mass move with what became of them."""
    narrowed: dict[str, Any] = {"state": state} if state else {}
    found = session.api.rows(f"/mass-moves/{number}/people", **narrowed)
    rows = [pick(row, "person", "state", "plan", "refusal") for row in found]
    session.table(["person", "state", "plan", "why"], rows, found)


@command(move)
def cancel(session: Session, number: Number) -> None:
    """End the rest: nobody more is planned, and what has not switched is cancelled."""
    found = session.api.post(f"/mass-moves/{number}/cancel")
    session.show(found, "The rest is cancelled; who has switched stays on the new engine.")


@command(move)
def retry(session: Session, number: Number) -> None:
    """Give who was refused, or whose plan failed, another turn."""
    found = session.api.post(f"/mass-moves/{number}/retry")
    session.show(found, f"{found['people']} get another turn.")


def _choice(person: list[str] | None, people_file: Path | None) -> dict[str, Any]:
    names = list(person or [])
    if people_file is not None:
        try:
            lines = people_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{people_file} cannot be read: {error}.") from error
        listed = [line.strip() for line in lines if line.strip()]
        if not listed:
            raise CommandError(f"{people_file} names nobody; write one user name a line.")
        names += listed
    return {"people": names}


def _say_refusals(session: Session, refusals: list[dict[str, Any]]) -> None:
    for refusal in refusals:
        session.say(f"{refusal['people']} left out: {refusal['reason']}")
