"""Files from outside as texts; whatever has a structure is read by a process of its own, in the engines' box.

A hostile file costs that process: it has no network, reads that one file, and is ended when it takes too long
or too much. Plain text is decoded here: nothing of it is parsed.
"""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from engines.exceptions import EngineCrashed, EngineError, InvalidRequestError, SamError
from engines.parsing import decode
from engines.reading.dispatch import read_text
from engines.reading.kinds import Kind, is_archive, kind_of
from engines.reading.limits import HEAD_BYTES, MAX_FILE_BYTES, MEMORY_BYTES, MIB, READ_SECONDS
from engines.reading.names import clean_path, is_shown
from engines.reading.package import DAMAGED
from engines.reading.result import Reading, Source
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.process import ChildProcess
from engines.runtimes.child.start import ChildSpec

HANDLER = "engines.reading.child:ReadingHandler"
AT_ONCE = 2
"""Processes that read at the same time for one of SAM's: they take a core each."""
MAX_CRASHES = 3
"""Of one archive; what is left of it is then refused, so that nobody keeps a host busy with it."""
ENDED = (
    f"Reading it was ended: it crashed its reader, or took more than {READ_SECONDS:.0f} s or "
    f"{MEMORY_BYTES // MIB} MB. Split it, or save it anew in its program or as text."
)
GIVEN_UP = (
    f"{MAX_CRASHES} files of this archive could not be read safely, so the rest was left out."
)
BUSY = "Many files are being read at this moment; send it again in a minute."
_places = threading.BoundedSemaphore(AT_ONCE)


class ReadFile(Struct, frozen=True):
    """A file that can become a document."""

    path: str
    reading: Reading


class RefusedFile(Struct, frozen=True):
    """A file that cannot, and why."""

    path: str
    why: str


def read_file(path: Path, name: str) -> ReadFile:
    """Read one file, named as its person names it; InvalidRequestError or UnsafeNameError says why not."""
    cleaned = clean_path(name)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise InvalidRequestError(f"It has {size} bytes, {MAX_FILE_BYTES} are allowed; split it.")
    if _is_plain_text(path, cleaned):
        content = path.read_bytes()
        found = read_text(Source(cleaned, content))
        digest = hashlib.sha256(content).hexdigest()
        return ReadFile(cleaned, msgspec.structs.replace(found, sha256=digest))
    with _Process(path, cleaned) as process:
        return ReadFile(cleaned, process.read())


def read_files(path: Path, name: str) -> Iterator[ReadFile | RefusedFile]:
    """Yield a file, or the files of an archive under its name, each read or refused; raises nothing of SAM."""
    try:
        if is_archive(name):
            yield from _read_archive(path, name)
        else:
            yield read_file(path, name)
    except SamError as error:
        yield RefusedFile(make_shown(name), str(error))


def make_shown(name: str) -> str:
    """Return a name as documents have it, in which nothing breaks or turns around what is shown."""
    composed = unicodedata.normalize("NFC", name)
    return "".join(c if is_shown(c) else "\N{REPLACEMENT CHARACTER}" for c in composed)


def _is_plain_text(path: Path, name: str) -> bool:
    with path.open("rb") as file:
        # What a package holds is judged by the process that opens it.
        is_packed = file.read(HEAD_BYTES).startswith(b"PK")
        file.seek(0)
        return not is_packed and kind_of(name, file) is Kind.TEXT


def _read_archive(path: Path, name: str) -> Iterator[ReadFile | RefusedFile]:
    with _Process(path, clean_path(name)) as process:
        for number, member in enumerate(process.names()):
            inside = f"{name}/{member}"
            try:
                if process.crashes >= MAX_CRASHES:
                    raise InvalidRequestError(GIVEN_UP)
                yield ReadFile(clean_path(inside), process.read(number))
            except SamError as error:
                yield RefusedFile(make_shown(inside), str(error))


class _Process:
    """The process that reads one file; started again where a member of an archive ended it."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._child: ChildProcess | None = None
        self.crashes = 0

    def __enter__(self) -> _Process:
        if not _places.acquire(timeout=READ_SECONDS):
            raise InvalidRequestError(BUSY)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stop()
        finally:
            _places.release()

    def names(self) -> list[str]:
        """Return the names in an archive."""
        return decode(self._ask("list", None).payload, list[str])

    def read(self, member: int | None = None) -> Reading:
        """Read the file, or a member of an archive; InvalidRequestError says why not."""
        try:
            return decode(self._ask("read", member).payload, Reading)
        except msgspec.MsgspecError as error:
            raise InvalidRequestError(DAMAGED) from error

    def _ask(self, operation: str, member: int | None) -> Frame:
        try:
            child = self._started()
            return child.request(
                operation, READ_SECONDS, path=str(self._path), name=self._name, member=member
            )
        except EngineCrashed as error:
            self.crashes += 1
            self._stop()
            raise InvalidRequestError(ENDED) from error
        except EngineError as error:
            # A library gave up in a way of its own: its words are about its code, not about the file.
            raise InvalidRequestError(DAMAGED) from error

    def _started(self) -> ChildProcess:
        if self._child is None:
            path = str(self._path)
            spec = ChildSpec("reader", HANDLER, memory_bytes=MEMORY_BYTES, readable=(path,))
            self._child = ChildProcess(spec)
            self._child.wait_ready()
        return self._child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            # One that was ended already has no pipe any more.
            with suppress(EngineError):
                child.stop()
