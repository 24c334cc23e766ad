"""``sam audit``: who changed what."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from samproject.cli.session import Session, command, make_group, pick

audit = make_group("Every change, with old and new value and who made it.")

MOST = 50


@command(audit, "list")
def list_changes(
    session: Session,
    actor: Annotated[str | None, typer.Option(help="Who made them, by name.")] = None,
    about: Annotated[str | None, typer.Option(help="Whom they are about, by name.")] = None,
    kind: Annotated[str | None, typer.Option(help="Such as person, token, catalog, host.")] = None,
    door: Annotated[
        str | None, typer.Option(help="page, admin, rest, command_line, system or database.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = MOST,
) -> None:
    """Show the newest changes first; for administrators."""
    asked = {"actor": actor, "person": about, "kind": kind, "door": door}
    filters = {name: value for name, value in asked.items() if value is not None}
    found = session.api.rows("/audit", limit=limit, **filters)
    rows = [
        [*pick(row, "at", "who", "door", "action", "kind"), _name(row), _write_changes(row)]
        for row in found
    ]
    session.table(["at", "who", "door", "action", "kind", "what", "changes"], rows, found)


def _name(row: dict[str, Any]) -> str:
    called = row["name"] or row["key"]
    return f"{called} ({row['person']})" if row["person"] else str(called)


def _write_changes(row: dict[str, Any]) -> str:
    return "; ".join(
        f"{field}: {json.dumps(old, ensure_ascii=False)} → {json.dumps(new, ensure_ascii=False)}"
        for field, (old, new) in row["changes"].items()
    )
