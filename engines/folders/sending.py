"""Files brought up to date in a base: only what changed is sent, and what is refused stops nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypedDict

from engines.folders.local import (
    Found,
    LocalFile,
    NotReadableError,
    digest_file,
    say_unfit_name,
    show_path,
)

MAX_FILE_BYTES = 50_000_000
TOO_LARGE = f"More than {MAX_FILE_BYTES} bytes are not allowed; split it."
ARCHIVE = ".zip"
STAYS = "Its document stays as it was."
FOREIGN = (
    "The base has documents of a folder {name}; most have no file here, and not one is as its file: this seems to be "
    "another folder of that name, and would replace some of them. Nothing was changed."
)
NOT_IN_FOLDER = "The folder does not hold it any more, and its document stays."
FEWEST_OF_A_FOLDER = 2
"""One document that changed is a file that somebody wrote on."""


class Line(TypedDict):
    """What became of a file, as the API tells it too."""

    path: str
    outcome: str
    document_id: int | None
    said: str


@dataclass(slots=True)
class Known:
    """The documents of a base that were made of files."""

    hashes: dict[str, str] = field(default_factory=dict)
    """Path → SHA-256 of the file."""
    ids: dict[str, int] = field(default_factory=dict)
    gone: dict[str, list[str]] = field(default_factory=dict)
    """SHA-256 → paths of files that are not where they were."""

    def add(self, path: str, digest: str, key: int) -> None:
        """Note a document."""
        self.hashes[path], self.ids[path] = digest, key


class Target(Protocol):
    """A base that files are sent to; what it raises ends the sending."""

    @property
    def deletes(self) -> bool:
        """Whether documents are deleted whose files are in their folder or archive no more."""

    def known(self) -> Known:
        """Return the documents that were made of files."""

    def put(self, file: LocalFile, moved_from: str) -> list[Line]:
        """Send a file, an archive with what it does not hold any more; OSError and NotReadableError when it
        cannot be read.
        """

    def delete(self, document_id: int) -> None:
        """Delete a document."""


def find_foreign(known: Known, found: Found) -> list[str]:
    """Return the folders that seem to be others than those of their names whose documents the base has.

    Of two documents and more most have no file there, not one is as its file, and some would be replaced. Where
    most have their files it is the same folder with other contents, as an export that is written anew each night.
    """
    missing = find_missing(known, found, found.paths)
    return [
        prefix.rstrip("/")
        for prefix in found.prefixes
        if _is_foreign(prefix, known, found, missing)
    ]


def _is_foreign(prefix: str, known: Known, found: Found, missing: Collection[str]) -> bool:
    # A document that somebody wrote on in SAM is as no file, and no file here is one that an archive holds.
    hashes = {
        path: digest
        for path, digest in known.hashes.items()
        if path.startswith(prefix) and digest and f"{ARCHIVE}/" not in path.lower()
    }
    files = [file for file in found.files if file.path.startswith(prefix)]
    if len(hashes) < FEWEST_OF_A_FOLDER or not any(file.path in hashes for file in files):
        return False
    if 2 * sum(path in hashes for path in missing) <= len(hashes):
        return False
    return set(hashes.values()).isdisjoint(map(_digest_if_read, files))


def _digest_if_read(file: LocalFile) -> str:
    try:
        return digest_file(file) if file.local.stat().st_size <= MAX_FILE_BYTES else ""
    except (OSError, NotReadableError):
        # Its line says so when it is sent.
        return ""


def bring_up(target: Target, found: Found, known: Known) -> Iterator[list[Line]]:
    """Send what changed, file by file, and yield the lines of each, and of what the folders do not hold any more."""
    know_gone(known, found, found.paths)
    for file in found.files:
        yield send_file(target, file, known, digest_file)
    for path, why in found.unread.items():
        yield [refuse(path, why)]
    if missing := settle_missing(target, found, found.paths):
        yield missing


def know_gone(known: Known, found: Found, here: Collection[str]) -> Known:
    """Note which files of a base are not where they were; returns what is known of it."""
    for path in find_missing(known, found, here):
        known.gone.setdefault(known.hashes[path], []).append(path)
    return known


def settle_missing(target: Target, found: Found, here: Collection[str]) -> list[Line]:
    """Tell which documents of these folders have their paths not ``here`` any more, or delete them."""
    known = target.known() if found.prefixes else Known()
    return [_settle(target, known, path) for path in find_missing(known, found, here)]


def _settle(target: Target, known: Known, path: str) -> Line:
    key = known.ids[path]
    if not target.deletes:
        return Line(path=path, outcome="missing", document_id=key, said=NOT_IN_FOLDER)
    target.delete(key)
    return Line(path=path, outcome="deleted", document_id=None, said="")


def find_missing(known: Known, found: Found, here: Collection[str]) -> list[str]:
    """Return the paths of these folders whose files are not there.

    Nothing is known of what cannot be read, nor of a folder that is empty.
    """
    # What an archive does not hold any more is told where it is opened.
    archives = [path for path in here if path.lower().endswith(ARCHIVE)]
    kept = tuple(f"{path}/" for path in (*archives, *found.unread))
    # A folder in which nothing lies is as that of a disk that is not mounted.
    wanted = tuple(one for one in found.prefixes if any(path.startswith(one) for path in here))
    return [
        path
        for path in known.ids
        if path not in here
        and path not in found.unread
        and path.startswith(wanted)
        and not path.startswith(kept)
    ]


def send_file(
    target: Target, file: LocalFile, known: Known, digest_of: Callable[[LocalFile], str]
) -> list[Line]:
    """Send a file unless the base has it so; one that cannot be read has its line like others."""
    try:
        lines = _send(target, file, known, digest_of)
    except NotReadableError as error:
        lines = [refuse(file.path, str(error))]
    except OSError as error:
        lines = [refuse(file.path, f"It cannot be read: {error.strerror}.")]
    for line in lines:
        if line["outcome"] == "refused" and line["path"] in known.ids:
            line["said"] += f" {STAYS}"
    return lines


def _send(
    target: Target, file: LocalFile, known: Known, digest_of: Callable[[LocalFile], str]
) -> list[Line]:
    size = file.local.stat().st_size
    if size > MAX_FILE_BYTES:
        return [refuse(file.path, f"It has {size} bytes, {MAX_FILE_BYTES} are allowed.")]
    if why := say_unfit_name(file.path):
        return [refuse(file.path, why)]
    digest = digest_of(file)
    if file.path in known.ids:
        if known.hashes[file.path] != digest:
            return target.put(file, "")
        key = known.ids[file.path]
        return [Line(path=file.path, outcome="unchanged", document_id=key, said="")]
    gone = known.gone.get(digest)
    return target.put(file, gone.pop() if gone else "")


def refuse(path: str, why: str) -> Line:
    """Return the line of a file that was not taken."""
    return Line(path=show_path(path), outcome="refused", document_id=None, said=why)
