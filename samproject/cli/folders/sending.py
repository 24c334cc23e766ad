"""Files and folders of a person's machine, brought up to date in a base: only what changed is sent."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samproject.cli.client import Client, name_in_path
from samproject.cli.errors import CommandError, UnreachableError

MAX_FILE_BYTES = 50_000_000
BLOCK = 1024 * 1024
ARCHIVE = ".zip"
LEADS_OUT = "It is a link that leads out of the folder; add what it leads to by its own path."
Line = dict[str, Any]
"""``path``, ``outcome``, ``document_id`` and ``said``, as the API tells them."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file, and its path in the base: from the folder on that was named."""

    local: Path
    path: str
    folder: Path | None = None
    """The folder that was named; None for a file that was named itself."""

    @property
    def leads_out(self) -> bool:
        """Whether it is a link to something outside of its folder, which whoever writes there may have laid."""
        return self.folder is not None and not self.local.resolve().is_relative_to(
            self.folder.resolve()
        )


@dataclass(slots=True)
class Known:
    """The documents of a base that were made of files."""

    hashes: dict[str, str]
    """Path → SHA-256 of the file."""
    ids: dict[str, int]
    gone: dict[str, list[str]] = field(default_factory=dict)
    """SHA-256 → paths of files that are not where they were."""

    @classmethod
    def of(cls, documents: Iterable[Line]) -> Known:
        """Read the API's rows."""
        rows = [row for row in documents if row["path"]]
        return cls(
            {row["path"]: row["source_sha256"] for row in rows},
            {row["path"]: row["id"] for row in rows},
        )


def find_local(paths: Sequence[Path]) -> tuple[list[LocalFile], list[str]]:
    """Return the files, and the folders they are in as prefixes; hidden ones are left out.

    CommandError for a path that does not exist.
    """
    files: list[LocalFile] = []
    prefixes: list[str] = []
    for path in paths:
        if path.is_dir():
            prefix = _composed(path.resolve().name)
            prefixes.append(f"{prefix}/")
            files += [
                LocalFile(each, _composed(f"{prefix}/{each.relative_to(path).as_posix()}"), path)
                for each in sorted(path.rglob("*"))
                if each.is_file() and not _is_hidden(each.relative_to(path))
            ]
        elif path.exists():
            files.append(LocalFile(path, _composed(path.name)))
        else:
            raise CommandError(f"{path} cannot be read: there is no such file or folder.")
    return files, prefixes


def bring_up(
    api: Client,
    base: int,
    files: Sequence[LocalFile],
    prefixes: Sequence[str],
    *,
    here: Collection[str] | None = None,
    digest_of: Callable[[Path], str] | None = None,
) -> Iterator[list[Line]]:
    """Send what changed, file by file, and yield the lines of each; one that is refused stops nothing.

    ``here`` are the paths of all files that are there, if these are not all. UnreachableError when nobody is
    there to send to: the rest would fare no better.
    """
    known = Known.of(api.rows(f"/knowledge-bases/{base}/documents"))
    there = {file.path for file in files} if here is None else here
    for path in _missing(known, there, prefixes):
        known.gone.setdefault(known.hashes[path], []).append(path)
    for file in files:
        try:
            yield _send(api, base, file, known, digest_of or digest_file)
        except UnreachableError:
            raise
        except (CommandError, OSError) as error:
            why = f"It cannot be read: {error.strerror}." if isinstance(error, OSError) else error
            yield [_line(_shown(file.path), "refused", str(why))]


def delete_missing(
    api: Client, base: int, here: Collection[str], prefixes: Sequence[str]
) -> list[Line]:
    """Delete the documents of these folders whose paths are not ``here`` any more; returns their lines."""
    known = Known.of(api.rows(f"/knowledge-bases/{base}/documents"))
    lines = []
    for path in _missing(known, here, prefixes):
        api.delete(f"/knowledge-bases/{base}/documents/{known.ids[path]}")
        lines.append(_line(path, "deleted"))
    return lines


def _missing(known: Known, here: Collection[str], prefixes: Sequence[str]) -> list[str]:
    archives = tuple(f"{path}/" for path in here if path.lower().endswith(ARCHIVE))
    return [
        path
        for path in known.ids
        if path not in here and path.startswith(tuple(prefixes)) and not path.startswith(archives)
    ]


def _send(
    api: Client, base: int, file: LocalFile, known: Known, digest_of: Callable[[Path], str]
) -> list[Line]:
    if file.leads_out:
        return [_line(_shown(file.path), "refused", LEADS_OUT)]
    size = file.local.stat().st_size
    if size > MAX_FILE_BYTES:
        return [_line(file.path, "refused", f"It has {size} bytes, {MAX_FILE_BYTES} are allowed.")]
    if why := _say_unfit_name(file.path):
        return [_line(_shown(file.path), "refused", why)]
    digest = digest_of(file.local)
    if known.hashes.get(file.path) == digest:
        return [_line(file.path, "unchanged", document_id=known.ids[file.path])]
    moved_from = known.gone[digest].pop() if known.gone.get(digest) else ""
    with file.local.open("rb") as content:
        answer = api.put_file(
            f"/knowledge-bases/{base}/files/{name_in_path(file.path)}",
            {"moved_from": moved_from} if moved_from and file.path not in known.ids else {},
            {"file": ("file", content)},
        )
    lines: list[Line] = answer["files"]
    return lines


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _line(path: str, outcome: str, said: str = "", document_id: int | None = None) -> Line:
    return {"path": path, "outcome": outcome, "document_id": document_id, "said": said}


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _say_unfit_name(path: str) -> str:
    if path.isprintable():
        return ""
    if path.encode("utf-8", "replace").decode() != path:
        return "Its name is no valid Unicode; rename it."
    if any(unicodedata.category(character) == "Cc" for character in path):
        return "Its name has a line break or another control character; rename it."
    return ""


def _shown(path: str) -> str:
    # One line a file: a name with a line break would look like two, and an escape reach the terminal.
    written = path.encode("utf-8", "replace").decode()
    return "".join(
        ascii(character)[1:-1] if unicodedata.category(character) == "Cc" else character
        for character in written
    )


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
