"""Files of a folder as they lie on a disk: which there are, what they are called in a base, and reading them."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from engines.exceptions import NotFoundError, SamError
from engines.folders.hidden import is_hidden

BLOCK = 1024 * 1024
LEADS_OUT = "It is a link that leads out of the folder; add what it leads to by its own path."
BROKEN_LINK = "It is a link to what is not there; lay it anew or delete it."
NO_PLAIN_FILE = "It is no plain file, so there is nothing to read."
SEVERAL = (
    "Several files have this path, and a base holds one of a path. Rename all but one, or add them to bases of their "
    "own."
)


class NotReadableError(SamError):
    """A file of a folder that is not read, with the reason for people."""

    code = "not_readable"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file, and its path in the base: from the folder on that was named."""

    local: Path
    path: str
    folder: Path | None = None
    """The folder that was named; None for a file that was named itself."""

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open it for reading; NotReadableError for a link out of the folder, which whoever writes there may
        have laid, and for what is no plain file. OSError as the system says.
        """
        # Looked at once it is open: what lies at the path may be exchanged at any moment before.
        descriptor = os.open(self.local, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as content:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotReadableError(NO_PLAIN_FILE)
            if self.folder is not None:
                place = _place_of(descriptor, self.local)
                if not place.is_relative_to(self.folder.resolve()):
                    raise NotReadableError(LEADS_OUT)
            yield content


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in some folders, and files that were named themselves."""

    files: list[LocalFile] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    """The folders, as their paths in the base begin."""
    unread: dict[str, str] = field(default_factory=dict)
    """What is not read, by its path in the base, and why: folders that cannot be looked into, links that are not
    followed, files of one path.
    """

    @property
    def paths(self) -> set[str]:
        """Return the paths of all files that are there."""
        return {file.path for file in self.files}


def find_local(paths: Sequence[Path]) -> Found:
    """Return the files, and all in the folders; hidden ones are left out.

    NotFoundError for a path that does not exist.
    """
    found = Found()
    for path in paths:
        if path.is_dir():
            _add_folder(found, path, path.resolve().name)
        elif path.exists():
            found.files.append(LocalFile(path, _composed(path.name)))
        else:
            raise NotFoundError(f"{path} cannot be read: there is no such file or folder.")
    _set_apart_several(found)
    return found


def find_in_folder(folder: Path, name: str) -> Found:
    """Return the files of one folder, which is called ``name`` in the base."""
    found = Found()
    _add_folder(found, folder, name)
    _set_apart_several(found)
    return found


def digest_file(file: LocalFile) -> str:
    """Return the SHA-256 of a file, in hex. Raises as ``LocalFile.opened``."""
    digest = hashlib.sha256()
    with file.opened() as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def say_unfit_name(path: str) -> str:
    """Say why no base takes a file of this path; nothing when one does."""
    if path.isprintable():
        return ""
    if path.encode("utf-8", "replace").decode() != path:
        return "Its name is no valid Unicode; rename it."
    if any(unicodedata.category(character) == "Cc" for character in path):
        return "Its name has a line break or another control character; rename it."
    return ""


def show_path(path: str) -> str:
    """Return a path in one line: a name with a line break would look like two, and an escape reach a terminal."""
    written = path.encode("utf-8", "replace").decode()
    return "".join(
        ascii(character)[1:-1] if unicodedata.category(character) == "Cc" else character
        for character in written
    )


def _add_folder(found: Found, folder: Path, name: str) -> None:
    prefix = _composed(name)
    found.prefixes.append(f"{prefix}/")

    def place(path: Path) -> str:
        return _composed((Path(prefix) / path.relative_to(folder)).as_posix())

    def note(error: OSError) -> None:
        found.unread[place(Path(error.filename))] = f"It cannot be read: {error.strerror}."

    for path in sorted(_walk(folder, note)):
        if why := _say_not_followed(path, folder):
            found.unread[place(path)] = why
        elif path.is_file():
            found.files.append(LocalFile(path, place(path), folder))


def _set_apart_several(found: Found) -> None:
    """Leave out files of one path, of which the last would take the place of all before it.

    Folders of one name hold them, and names whose letters are composed in different ways. A file that was named
    twice is one.
    """
    by_path: dict[str, list[LocalFile]] = {}
    for file in found.files:
        by_path.setdefault(file.path, []).append(file)
    for path, files in by_path.items():
        if len(files) > 1 and len({file.local.resolve() for file in files}) > 1:
            found.unread[path] = SEVERAL
    found.files[:] = [files[0] for path, files in by_path.items() if path not in found.unread]


def _walk(folder: Path, note: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield files and links; what is behind a link to a folder is not, since it may lead in a circle, or out."""
    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = _shown(folders)
        links = [name for name in folders if Path(place, name).is_symlink()]
        yield from (Path(place, name) for name in (*_shown(names), *links))


def _say_not_followed(path: Path, folder: Path) -> str:
    """Say why a link is not followed, or why a path cannot be looked at; nothing when there is no such reason."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return BROKEN_LINK if path.is_symlink() else ""
    except OSError as error:
        return f"It cannot be read: {error.strerror}."
    is_out = stat.S_ISDIR(mode) and not path.resolve().is_relative_to(folder.resolve())
    return LEADS_OUT if is_out else ""


def _shown(names: Iterable[str]) -> list[str]:
    return [name for name in names if not is_hidden(name)]


def _place_of(descriptor: int, path: Path) -> Path:
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    except OSError:
        # Systems without /proc: what was checked may be another file than what is open, as it always was.
        return path.resolve()


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)
