"""``sam base``, ``sam documents``, ``sam search``: what a person's assistant knows."""

from __future__ import annotations

import importlib
from collections import Counter
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from engines.exceptions import NotFoundError
from engines.folders.local import Found, find_local
from engines.folders.sending import FOREIGN, Known, Line, bring_up, find_foreign
from engines.services.knowledge.cutting.places import leave_out_title
from samproject.cli.errors import CommandError, RefusedError
from samproject.cli.folders.sending import RemoteBase, leave_out_no_texts
from samproject.cli.folders.watching import WatchedRemotely, read_seconds
from samproject.cli.session import Session, command, make_group, pick

base = make_group("Knowledge bases, one's own and those of one's groups.")
documents = make_group("The documents of a person's knowledge bases.")

OUTCOMES = {
    "unchanged": "unchanged",
    "updated": "updated",
    "added": "new",
    "moved": "moved",
    "deleted": "deleted",
    "missing": "missing",
    "refused": "refused",
}

FOUND_BY = {"vectors": "by meaning", "words": "by words", "both": "by meaning and words"}


class Mode(StrEnum):
    """By what passages are found."""

    HYBRID = "hybrid"
    VECTORS = "vectors"
    WORDS = "words"


MARKDOWN = "text/markdown"
DEFAULT_BASE = "Documents"
MAX_HITS = 50
MAX_NAMED = 5
SHOWN_CHARACTERS = 200
NO_ENGINE = (
    "No engine is chosen yet, and texts are searched with its help; `sam plan create` chooses one."
)

Replace = Annotated[
    bool,
    typer.Option("--replace", help="Take a folder that seems to be another of the same name."),
]
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
    delete_missing: Annotated[
        bool,
        typer.Option(
            "--delete-missing",
            help="Delete documents whose files are gone from a folder, or from an archive in it.",
        ),
    ] = False,
    replace: Replace = False,
) -> None:
    """Add files, or bring folders up to date: what is unchanged is not sent again."""
    try:
        found = find_local(paths)
    except NotFoundError as error:
        raise CommandError(str(error)) from error
    if not found.files and not found.unread:
        raise CommandError("There is no file in it; hidden ones are left out. Nothing was changed.")
    target = _base_named(session, into)
    remote = RemoteBase(session.api, target["id"], delete_missing)
    known = remote.known()
    if not replace:
        _refuse_foreign(known, found)
    lines: list[Line] = []
    for told in track(
        bring_up(remote, found, known),
        "Adding",
        total=len(found.files) + len(found.unread),
        console=session.console(),
        disable=session.as_json,
    ):
        lines += told
        _tell(session, told)
    _tell_end(session, lines, target["name"])
    refused = [line for line in lines if line["outcome"] == "refused"]
    if lines and len(refused) == len(lines):
        raise CommandError("No file could be added.")
    if not session.api.get(f"/knowledge-bases/{target['id']}")["searchable"]:
        session.say(
            "They are searched by words alone until an engine is chosen; `sam plan create` chooses one."
        )
    _judge(session, refused, leave_out_no_texts(refused, found))


def _judge(session: Session, refused: list[Line], missed: list[Line]) -> None:
    """End with exit code 1 where a file was missed; say of all others that were refused that they hold no text."""
    if missed:
        raise CommandError(_name_refused(missed))
    if refused:
        count = "1 file holds" if len(refused) == 1 else f"{len(refused)} files hold"
        session.say(
            f"{count} no text that could be read, as pictures, sound, programs and empty files do not."
        )


def _tell_end(session: Session, lines: list[Line], base_name: str) -> None:
    session.show(lines, f"{_describe(lines)} in {base_name}.")
    if any(line["outcome"] == "missing" for line in lines):
        session.say("Documents of missing files stay; --delete-missing deletes them.")


def _refuse_foreign(known: Known, found: Found) -> None:
    for name in find_foreign(known, found):
        raise CommandError(
            f"{FOREIGN.format(name=name)} Name a base of its own with --base; if it is the same folder, say so with "
            "--replace."
        )


def _name_refused(refused: list[Line]) -> str:
    names = ", ".join(str(line["path"]) for line in refused[:MAX_NAMED])
    more = f" and {len(refused) - MAX_NAMED} more" if len(refused) > MAX_NAMED else ""
    count = "1 file was" if len(refused) == 1 else f"{len(refused)} files were"
    return f"{count} refused and all others that hold a text are in the base: {names}{more}. Their lines say why."


def _tell(session: Session, lines: list[Line]) -> None:
    for line in lines:
        said = f" ({line['said']})" if line["said"] else ""
        session.say(f"{line['outcome']}  {line['path']}{said}")


def _describe(lines: list[Line]) -> str:
    counts = Counter(line["outcome"] for line in lines)
    shown = [
        f"{counts[one]} {word}"
        for one, word in OUTCOMES.items()
        if counts[one] or one in ("unchanged", "updated", "added")
    ]
    return ", ".join(shown)


@command(documents, "watch")
def watch_documents(
    session: Session,
    folder: Annotated[Path, typer.Argument(help="A folder, with all below it.")],
    into: Annotated[
        str, typer.Option("--base", help="Its name; made at first need.")
    ] = DEFAULT_BASE,
    every: Annotated[str, typer.Option(help="How often to look: 30s, 5m or 1h.")] = "60s",
    keep_deleted: Annotated[
        bool, typer.Option("--keep-deleted", help="Keep documents whose files are gone.")
    ] = False,
    replace: Replace = False,
) -> None:
    """Keep a folder and a base in step until Ctrl-C: new, changed, renamed and deleted files."""
    seconds = read_seconds(every)
    if not folder.is_dir():
        raise CommandError(f"{folder} is no folder; single files are sent by `sam documents add`.")
    target = _base_named(session, into)
    if not replace:
        _refuse_foreign(RemoteBase(session.api, target["id"]).known(), find_local([folder]))
    watched = WatchedRemotely(session.api, target["id"], folder, deletes=not keep_deleted)
    session.say(f"Watching {folder} for {target['name']}, every {every}; Ctrl-C ends it.")
    with suppress(KeyboardInterrupt):
        for told in watched.look_again_and_again(seconds, session.say):
            _tell(session, told)
            session.show(told, f"{_describe(told)} in {target['name']}.")
    session.say("Not watched any more; what was sent stays.")


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
    for _, document in found:
        if document["note"]:
            session.say(f"{document['id']}  {document['title']}: {document['note']}")


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
    mode: Annotated[
        Mode, typer.Option(help="By meaning and words, by meaning alone, or by words alone.")
    ] = Mode.HYBRID,
) -> None:
    """Search what you may read, by meaning and by words."""
    if not query.strip() or not 1 <= k <= MAX_HITS:
        raise CommandError(f"Ask with some words, and for 1 to {MAX_HITS} passages.")
    found = session.api.post("/search", {"query": query, "k": k, "mode": mode.value})
    if session.as_json:
        session.show(found)
    if found["words_only"]:
        session.say(found["words_only"])
    for hit in found["hits"]:
        place = leave_out_title(hit["place"], hit["title"])
        where = f", {place}" if place else ""
        found_by = FOUND_BY[hit["found_by"]]
        # Without a vector there is no nearness, and 0.0000 would read as one.
        near = f"{hit['score']:.4f}" if hit["score"] else "   -  "
        session.say(f"{near}  {hit['title']}{where}  (chunk {hit['chunk_id']}, {found_by})")
        if hit["also"]:
            session.say(f"        also in {', '.join(one['title'] for one in hit['also'])}")
        session.say(f"        {' '.join(_excerpt(hit).split())[:SHOWN_CHARACTERS]}")
    if not found["hits"]:
        session.say(
            "Nothing was found." if found["engine_id"] else f"Nothing was found. {NO_ENGINE}"
        )


def _excerpt(hit: dict[str, Any]) -> str:
    """Return a passage without Markdown's marks; an older SAM does not say what kind of text it is."""
    text: str = hit["text"]
    if hit.get("media_type") != MARKDOWN:
        return text
    # Only who searches waits for the reader of Markdown.
    return importlib.import_module("migrations_app.pages.chat.markdown").plain_text(text) or text


def _base_named(session: Session, name: str) -> dict[str, Any]:
    found = _find_base(session, name)
    if found is None:
        try:
            made: dict[str, Any] = session.api.post("/knowledge-bases", {"name": name})
        except RefusedError:
            # Two commands that were started together need the same one.
            found = _find_base(session, name)
            if found is None:
                raise
        else:
            return made
    return found


def _find_base(session: Session, name: str) -> dict[str, Any] | None:
    own = [each for each in session.api.rows("/knowledge-bases") if each["group"] is None]
    same = [each for each in own if each["name"].casefold() == name.casefold()]
    # The oldest bases may differ in nothing but the case of their letters.
    return next((each for each in same if each["name"] == name), same[0] if same else None)


def _addresses(session: Session) -> dict[int, str]:
    own = [each for each in session.api.rows("/knowledge-bases") if each["group"] is None]
    bases = [f"/knowledge-bases/{each['id']}/documents" for each in own]
    return {
        document["id"]: f"{address}/{document['id']}"
        for address in bases
        for document in session.api.rows(address)
    }
