"""Files brought up to date in a base: only what changed is sent, and what is refused stops nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
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

    def known(self) -> Known:
        """Return the documents that were made of files."""

    def put(self, file: LocalFile, moved_from: str) -> list[Line]:
        """Send a file; OSError and NotReadableError when it cannot be read."""

    def delete(self, document_id: int) -> None:
        """Delete a document."""


def bring_up(target: Target, found: Found, *, deletes: bool = False) -> Iterator[list[Line]]:
    """Send what changed, file by file, and yield the lines of each.

    With ``deletes`` the documents of files that are in no archive any more go with it.
    """
    known = know_gone(target, found, found.paths)
    for file in found.files:
        lines = send_file(target, file, known, digest_file)
        yield lines + (delete_unpacked(target, file, known, lines) if deletes else [])
    for path, why in found.unread.items():
        yield [refuse(path, why)]


def know_gone(target: Target, found: Found, here: Collection[str]) -> Known:
    """Return what the base has, and which files of it are not where they were."""
    known = target.known()
    for path in find_missing(known, found, here):
        known.gone.setdefault(known.hashes[path], []).append(path)
    return known


def delete_missing(target: Target, found: Found, here: Collection[str]) -> list[Line]:
    """Delete the documents of these folders whose paths are not ``here`` any more; returns their lines."""
    known = target.known()
    return _delete(target, known, find_missing(known, found, here))


def delete_unpacked(
    target: Target, file: LocalFile, known: Known, lines: Sequence[Line]
) -> list[Line]:
    """Delete the documents of an archive that was just sent whose files it does not hold; returns their lines.

    None while it is empty, as a backup that failed leaves one.
    """
    here = {line["path"] for line in lines}
    is_read = file.path.lower().endswith(ARCHIVE) and here and file.path not in here
    gone = [path for path in known.ids if path.startswith(f"{file.path}/") and path not in here]
    return _delete(target, known, gone if is_read else [])


def _delete(target: Target, known: Known, paths: Sequence[str]) -> list[Line]:
    for path in paths:
        target.delete(known.ids[path])
    return [Line(path=path, outcome="deleted", document_id=None, said="") for path in paths]


def find_missing(known: Known, found: Found, here: Collection[str]) -> list[str]:
    """Return the paths of these folders whose files are not there; nothing is known of what cannot be read."""
    archives = [path for path in here if path.lower().endswith(ARCHIVE)]
    kept = tuple(f"{path}/" for path in (*archives, *found.unread))
    wanted = tuple(found.prefixes)
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
