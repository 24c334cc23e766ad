"""``manage.py documents``: add files or folders to a person's base, list, delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser
from rich.progress import track

from engines.exceptions import SamError
from engines.models import Document, KnowledgeBase
from engines.services.knowledge.documents import add_document, create_base, delete_document
from migrations_app.management.console import ActionCommand, person
from migrations_app.serving.answers import embed_for_writer

MEDIA_TYPES = {
    ".md": Document.MediaType.MARKDOWN,
    ".markdown": Document.MediaType.MARKDOWN,
    ".txt": Document.MediaType.TEXT,
    ".rst": Document.MediaType.TEXT,
}
_KNOWN = ", ".join(sorted(MEDIA_TYPES))


class Command(ActionCommand):
    help = "The documents of a person's knowledge bases."
    actions_help = {
        "add": "Add text and Markdown files; folders are read with all below them.",
        "list": "Show a person's documents.",
        "delete": "Delete documents by their numbers.",
    }

    def arguments_add(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path)
        parser.add_argument("--user", required=True, type=person)
        parser.add_argument("--base", default="Documents", help="Its name; made at first need.")

    def arguments_list(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, type=person)

    def arguments_delete(self, parser: CommandParser) -> None:
        parser.add_argument("documents", nargs="+", type=int)
        parser.add_argument("--user", required=True, type=person)

    def do_add(self, paths: list[Path], user: User, base: str) -> None:
        texts = self._texts(paths)
        target = _base(user, base)
        for added, (path, text) in enumerate(track(texts, "Adding", console=self.console())):
            try:
                _add(target, path, text)
            except SamError as error:
                raise CommandError(f"{path}: {error} {added} documents were added.") from error
        self.say(f"{len(texts)} documents added to {target.name}.")
        if not KnowledgeBase.objects.filter(pk=target.pk, live_index__isnull=False).exists():
            self.say("They are searched once an engine is chosen; `sam plan create` chooses one.")

    def do_list(self, user: User) -> None:
        documents = Document.objects.filter(base__owner=user).select_related("base")
        self.table(
            ["document", "base", "title", "changed"],
            [
                (d.pk, d.base.name, d.title, f"{d.updated_at:%F %T}")
                for d in documents.defer("text").order_by("pk")
            ],
        )

    def do_delete(self, documents: list[int], user: User) -> None:
        own = Document.objects.filter(base__owner=user)
        wanted = set(documents)
        foreign = wanted - set(own.filter(pk__in=wanted).values_list("pk", flat=True))
        if foreign:
            raise CommandError(
                f"{user} has no document {', '.join(map(str, sorted(foreign)))}; "
                "nothing was deleted."
            )
        for number in sorted(wanted):
            delete_document(number)
        self.say(f"{len(wanted)} documents deleted.")

    def _texts(self, paths: list[Path]) -> list[tuple[Path, str]]:
        """Read all that is to be added, so that a file that cannot be leaves nothing half done."""
        read = [(path, _read(path)) for path in _text_files(paths)]
        for path in (path for path, text in read if not text.strip()):
            self.say(f"{path} is empty; left out.")
        found = [(path, text) for path, text in read if text.strip()]
        if not found:
            raise CommandError(f"There is no text to add; SAM reads {_KNOWN} files.")
        return found


def _add(base: KnowledgeBase, path: Path, text: str) -> None:
    media_type = MEDIA_TYPES[path.suffix.lower()]
    add_document(base.pk, title=path.name, text=text, media_type=media_type, embed=embed_for_writer)


def _base(user: User, name: str) -> KnowledgeBase:
    return KnowledgeBase.objects.filter(owner=user, name=name).order_by("pk").first() or (
        create_base(owner=user, name=name)
    )


def _text_files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            below = sorted(path.rglob("*"))
            yield from (p for p in below if p.is_file() and p.suffix.lower() in MEDIA_TYPES)
        elif path.suffix.lower() in MEDIA_TYPES or not path.exists():
            yield path
        else:
            raise CommandError(f"{path} is no text of these kinds: {_KNOWN}.")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is no UTF-8 text; nothing was added.") from error
