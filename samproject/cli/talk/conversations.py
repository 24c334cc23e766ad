"""``sam conversations``: what was said; ``sam chat`` goes on with it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from samproject.cli.session import Session, command, make_group, pick
from samproject.cli.talk.terminal import plain

conversations = make_group("Your conversations; `sam chat` begins one or goes on with it.")

Number = Annotated[int, typer.Argument(help="As `sam conversations list` shows it.")]
SHOWN = 50


@command(conversations, "list")
def list_conversations(session: Session) -> None:
    """Show them, the last used first."""
    _show(session, session.api.rows("/conversations", limit=SHOWN))


@command(conversations)
def search(
    session: Session,
    words: Annotated[str, typer.Argument(help="Looked for in titles and messages.")],
) -> None:
    """Find those that contain some words."""
    _show(session, session.api.rows("/conversations", limit=SHOWN, q=words))


@command(conversations, "show")
def show_conversation(session: Session, number: Number) -> None:
    """Show what was said, and which engine answered."""
    found = session.api.get(f"/conversations/{number}")
    messages = session.api.rows(f"/conversations/{number}/messages")
    if session.as_json:
        session.show({**found, "messages": messages})
        return
    session.say(plain(found["title"]) or "(no title)")
    for message in messages:
        broken = "" if message["status"] == "complete" else f" ({message['status']})"
        session.say(f"\n{message['engine'] or message['role']}{broken}:")
        session.say(plain(message["content"]))
        for line in cite(message["citations"]):
            session.say(line)


@command(conversations)
def rename(
    session: Session, number: Number, title: Annotated[str, typer.Argument(help="The new one.")]
) -> None:
    """Give a conversation another title."""
    changed = session.api.patch(f"/conversations/{number}", {"title": title})
    session.show(changed, "Renamed.")


@command(conversations)
def delete(session: Session, number: Number) -> None:
    """Delete a conversation with all its messages, for good."""
    session.api.delete(f"/conversations/{number}")
    session.say("Deleted with its messages.")


def cite(citations: list[dict[str, Any]]) -> list[str]:
    """Return a line for each passage that an answer was given."""
    return [
        f"[{each['number']}] {plain(each['title'])} (document {each['document_id']})"
        if each["is_available"]
        else f"[{each['number']}] (changed or deleted since)"
        for each in citations
    ]


def _show(session: Session, found: list[Any]) -> None:
    rows = [[row["id"], plain(row["title"]), *pick(row, "updated_at")] for row in found]
    session.table(["conversation", "title", "last used"], rows, found)
