"""``sam people``, ``role``, ``unlock``: who comes, who leaves, and who may do what."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from samproject.cli.client import name_in_path
from samproject.cli.errors import CommandError
from samproject.cli.session import Session, command, make_group, pick

people = make_group("People: invited, deactivated, let in again, deleted.")
role = make_group("Roles of people: curator, operator, administrator.")

Name = Annotated[str, typer.Argument(metavar="USER", help="As `sam people list` shows it.")]
DAYS = 7
UNLOCKED = "Unlocked."
NOT_LOCKED = "There were no failed sign-ins."


class Role(StrEnum):
    """What a person may do besides using SAM."""

    CURATOR = "curator"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


@command(people, "list")
def list_people(session: Session) -> None:
    """Show everybody."""
    found = session.api.rows("/people")
    rows = [
        (
            *pick(row, "username", "email"),
            ", ".join(sorted(row["groups"])),
            row["last_login"] or "never",
            "active" if row["is_active"] else "deactivated",
        )
        for row in found
    ]
    session.table(["person", "e-mail", "groups", "last sign-in", "state"], rows, found)


@command(people)
def invite(
    session: Session,
    email: Annotated[str, typer.Argument(help="Where the link is sent to.")],
    groups: Annotated[
        list[str] | None, typer.Option("--group", help="A group or role; repeatable.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="How long the link is open.")] = DAYS,
) -> None:
    """Invite somebody by e-mail; prints the link as well."""
    before = session.api.rows("/invitations")
    made = session.api.post("/invitations", {"email": email, "groups": groups or [], "days": days})
    mailed = "was mailed" if made["mailed"] else "was not mailed, hand it over yourself"
    address = str(made["email"]).casefold()
    if any(_is_open(row) and row["email"].casefold() == address for row in before):
        session.say("The link that this address had before is ended.")
    session.show(made, f"The link works once, and {mailed}:\n{made['link']}")


@command(people)
def invitations(session: Session) -> None:
    """Show the invitations that are open."""
    found = [row for row in session.api.rows("/invitations") if _is_open(row)]
    rows = [
        (*pick(row, "id", "email"), ", ".join(sorted(row["groups"])), row["who"], row["expires_at"])
        for row in found
    ]
    session.table(["id", "e-mail", "groups", "by", "until"], rows, found)


@command(people)
def revoke(
    session: Session,
    number: Annotated[
        int, typer.Argument(metavar="ID", help="As `sam people invitations` shows it.")
    ],
) -> None:
    """End an open invitation."""
    session.api.delete(f"/invitations/{number}")
    session.say("The invitation is ended.")


@command(people)
def deactivate(session: Session, username: Name) -> None:
    """Let a person in no more; tokens, sessions and open plans end."""
    session.show(_act(session, username, "deactivate"), f"{username} is deactivated.")


@command(people)
def reactivate(session: Session, username: Name) -> None:
    """Let a person in again."""
    session.show(_act(session, username, "reactivate"), f"{username} may sign in again.")


@command(people)
def delete(
    session: Session,
    username: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Delete a person with all that is theirs, for good."""
    session.api.get(_address(username))
    if not yes and not typer.confirm(
        f"Delete {username} with conversations, knowledge, adapters, plans and backups, for good?",
        err=True,
    ):
        raise CommandError("Nothing was deleted.")
    session.api.delete(_address(username))
    session.say(f"{username} is deleted.")


@command(people)
def roles(session: Session, username: Name) -> None:
    """Show the roles of a person."""
    found = session.api.get(_address(username))
    session.show(found, ", ".join(_roles_of(found)) or "user")


@command(people)
def remove_second_factor(session: Session, username: Name) -> None:
    """Take the second factor away, for who lost the telephone and the recovery codes."""
    answer = _act(session, username, "remove-second-factor")
    removed = "The second factor is removed."
    session.show(answer, removed if answer["removed"] else "There was no second factor.")


@command(people)
def unlock(session: Session, username: Name) -> None:
    """Let a person sign in again at once after failed sign-ins."""
    answer = _act(session, username, "unlock")
    session.show(answer, UNLOCKED if answer["had_failures"] else NOT_LOCKED)


@command(role, "grant")
def grant_role(session: Session, username: Name, name: Annotated[Role, typer.Argument()]) -> None:
    """Give a person a role."""
    person = session.api.put(f"{_address(username)}/roles/{name}", {})
    staff = "" if person["is_staff"] else " Without staff status they do not enter the admin."
    session.show(person, f"{username} is {name} now.{staff}")


@command(role, "revoke")
def revoke_role(session: Session, username: Name, name: Annotated[Role, typer.Argument()]) -> None:
    """Take a role from a person."""
    session.api.delete(f"{_address(username)}/roles/{name}")
    session.say(f"{username} is not {name} any more.")


@command(role, "list")
def list_roles(session: Session) -> None:
    """Show who has which role."""
    found = [row for row in session.api.rows("/people") if _roles_of(row)]
    rows = [(row["username"], ", ".join(_roles_of(row))) for row in found]
    session.table(["person", "roles"], rows, found)


def _roles_of(person: dict[str, Any]) -> list[str]:
    return sorted(set(person["groups"]) & {each.value for each in Role})


def _is_open(row: dict[str, Any]) -> bool:
    is_over = datetime.fromisoformat(row["expires_at"]) <= datetime.now(UTC)
    return row["used_at"] is None and row["revoked_at"] is None and not is_over


def _act(session: Session, username: str, what: str) -> Any:
    return session.api.post(f"{_address(username)}/{what}")


def _address(username: str) -> str:
    return f"/people/{name_in_path(username)}"
