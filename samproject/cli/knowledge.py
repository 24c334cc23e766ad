"""``sam base``, ``sam documents``, ``sam search``: what a person's assistant knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from samproject.cli.errors import CommandError
from samproject.cli.files import find_files
from samproject.cli.session import Session, command, make_group, pick

base = make_group("Knowledge bases, one's own and those of one's groups.")
documents = make_group("The documents of a person's knowledge bases.")

ENDINGS = frozenset({".md", ".markdown", ".txt", ".rst"})
DEFAULT_BASE = "Documents"
MAX_HITS = 50
SHOWN_CHARACTERS = 200
NO_ENGINE = (
    "No engine is chosen yet, and texts are searched with its help; `sam plan create` chooses one."
)

Base = Annotated[int, typer.Argument(help="Its number, as `sam base list` shows it.")]


@command(base, "list")
def list_bases(session: Session) -> None:
    """Show the bases you may read."""
    bases = session.api.rows("/knowledge-bases")
    rows = [pick(row, "id", "name", "group", "document_count", "searchable") for row in bases]
    session.table(["base", "name", "group", "documents", "searchable"], rows, bases)


@command(base, "create")
def create_base(
    session: Session,
    name: Annotated[str, typer.Argument(help="What people read.")],
    group: Annotated[str | None, typer.Option(help="Whose base; yours alone without it.")] = None,
) -> None:
    """Make a base, your own or a group's."""
    made = session.api.post(
        "/knowledge-bases", {"name": name, **({"group": group} if group else {})}
    )
    session.show(made, f"{made['name']} is base {made['id']}.")


@command(base, "rename")
def rename_base(
    session: Session, number: Base, name: Annotated[str, typer.Argument(help="Its new name.")]
) -> None:
    """Give a base another name."""
    session.show(session.api.patch(f"/knowledge-bases/{number}", {"name": name}), "Renamed.")


@command(base, "delete")
def delete_base(session: Session, number: Base) -> None:
    """Delete a base with all its documents."""
    session.api.delete(f"/knowledge-bases/{number}")
    session.say("Deleted with its documents.")


@command(documents, "add")
def add_documents(
    session: Session,
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders with all below them.")],
    into: Annotated[
        str, typer.Option("--base", help="Its name; made at first need.")
    ] = DEFAULT_BASE,
) -> None:
    """Add text and Markdown files."""
    texts = _read_texts(session, paths)
    target = _base_named(session, into)
    added: list[Any] = []
    for path, content in track(texts, "Adding", console=session.console(), disable=session.as_json):
        try:
            added.append(
                session.api.upload(
                    f"/knowledge-bases/{target['id']}/documents",
                    {"title": path.name},
                    {"file": (path.name, content)},
                )
            )
        except CommandError as error:
            raise CommandError(f"{path}: {error} {len(added)} documents were added.") from error
    session.show(added, f"{len(added)} documents added to {target['name']}.")
    if not session.api.get(f"/knowledge-bases/{target['id']}")["searchable"]:
        session.say("They are searched once an engine is chosen; `sam plan create` chooses one.")


@command(documents, "list")
def list_documents(session: Session) -> None:
    """Show the documents of your own bases."""
    own = [each for each in session.api.rows("/knowledge-bases") if each["group"] is None]
    found = [
        (each, document)
        for each in own
        for document in session.api.rows(f"/knowledge-bases/{each['id']}/documents")
    ]
    session.table(
        ["document", "base", "title", "changed"],
        [(d["id"], each["name"], d["title"], d["updated_at"]) for each, d in found],
        [document for _, document in found],
    )


@command(documents, "delete")
def delete_documents(
    session: Session,
    numbers: Annotated[list[int], typer.Argument(help="As `sam documents list` shows them.")],
) -> None:
    """Delete documents by their numbers."""
    addresses = _addresses(session)
    foreign = sorted(set(numbers) - set(addresses))
    if foreign:
        named = ", ".join(map(str, foreign))
        raise CommandError(f"You have no document {named}; nothing was deleted.")
    for number in sorted(set(numbers)):
        session.api.delete(addresses[number])
    session.say(f"{len(set(numbers))} documents deleted.")


def search(
    session: Session,
    query: Annotated[str, typer.Argument(help="A question, or some words.")],
    k: Annotated[int, typer.Option("-k", help="How many passages, at most 50.")] = 5,
) -> None:
    """Search what you may read, by meaning."""
    if not query.strip() or not 1 <= k <= MAX_HITS:
        raise CommandError(f"Ask with some words, and for 1 to {MAX_HITS} passages.")
    found = session.api.post("/search", {"query": query, "k": k})
    if session.as_json:
        session.show(found)
    for hit in found["hits"]:
        session.say(f"{hit['score']:.4f}  {hit['title']}  (chunk {hit['chunk_id']})")
        session.say(f"        {' '.join(hit['text'].split())[:SHOWN_CHARACTERS]}")
    if not found["hits"]:
        session.say(
            "Nothing was found." if found["engine_id"] else f"Nothing was found. {NO_ENGINE}"
        )


def _read_texts(session: Session, paths: list[Path]) -> list[tuple[Path, bytes]]:
    """Read all that is to be added, so that a file that cannot be leaves nothing half done."""
    read = [(path, _read(path)) for path in find_files(paths, ENDINGS)]
    for path in (path for path, content in read if not content.strip()):
        session.say(f"{path} is empty; left out.")
    found = [(path, content) for path, content in read if content.strip()]
    if not found:
        raise CommandError(
            f"There is no text to add; SAM reads {', '.join(sorted(ENDINGS))} files."
        )
    return found


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        content.decode("utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is no UTF-8 text; nothing was added.") from error
    return content


def _base_named(session: Session, name: str) -> dict[str, Any]:
    own = [each for each in session.api.rows("/knowledge-bases") if each["group"] is None]
    found = next((each for each in own if each["name"] == name), None)
    made: dict[str, Any] = found or session.api.post("/knowledge-bases", {"name": name})
    return made


def _addresses(session: Session) -> dict[int, str]:
    own = [each for each in session.api.rows("/knowledge-bases") if each["group"] is None]
    bases = [f"/knowledge-bases/{each['id']}/documents" for each in own]
    return {
        document["id"]: f"{address}/{document['id']}"
        for address in bases
        for document in session.api.rows(address)
    }
