"""One turn of looking at a watched folder, on its host: what changed becomes documents, and the rest is remembered.

A turn may end before the look is through, or be killed: what was dealt with is remembered file by file, and
dealing with a file twice changes nothing.
"""

from __future__ import annotations

import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from engines.db.clock import ClockTimestamp, seconds_from_now
from engines.exceptions import ConflictError, NotFoundError, SamError
from engines.folders.local import BLOCK, LocalFile, find_in_folder
from engines.folders.sending import (
    FOREIGN,
    MAX_FILE_BYTES,
    TOO_LARGE,
    Known,
    Line,
    find_foreign,
    refuse,
)
from engines.folders.watching import FolderAwayError, Memory, Remembered
from engines.folders.watching import WatchedFolder as FolderRules
from engines.models import Document, WatchedFile, WatchedFolder
from engines.services.knowledge.documents import delete_document
from engines.services.knowledge.folders import Delivery, take_delivery
from engines.services.knowledge.watched.due import due_folders
from engines.services.knowledge.writing import Embed

LEASE_SECONDS = 300
"""Of a turn, renewed with each file; another host's clock has no part in it."""
SAVED_AT_ONCE = 2000
NOBODY = "Nothing to do: it is looked at already, not due or let go."
COUNTED = ("added", "updated", "moved", "deleted")


class LetGoError(ConflictError):
    """The folder was let go, or somebody else looks at it by now."""


@dataclass(frozen=True, slots=True)
class Here:
    """What a look needs of the machine that it runs on."""

    roots: Sequence[Path]
    """Below which folders may be watched."""
    forbidden: Path
    """SAM's own folder, which no watched folder may touch."""
    scratch: Path
    goes_on: Callable[[], bool]
    """Whether there is time for one more file."""
    embed: Embed | None = None


def look_at(folder_id: int, here: Here) -> str:
    """Bring a base up to date with a folder, as far as there is time; returns a sentence.

    What keeps it from that for a time stands in the folder's row, and the next look tries again.
    """
    folder = _claim(folder_id)
    if folder is None:
        return NOBODY
    turn = _Turn(folder)
    try:
        return _look(turn, folder, here)
    except LetGoError as error:
        return str(error)
    except (SamError, OSError) as error:
        return turn.fail(str(error))


def _look(turn: _Turn, folder: WatchedFolder, here: Here) -> str:
    place = _require_allowed(folder, here)
    base = _LocalBase(folder.base_id, folder.name, here, deletes=not folder.keep_deleted)
    if not (turn.memory.looks or turn.memory.files):
        _refuse_foreign(base, place, folder)
    rules = FolderRules(base, place, turn.memory, name=folder.name)
    for lines in rules.look():
        turn.save(lines)
        if not here.goes_on():
            return turn.pause()
    return turn.finish(len(rules.found.files))


def _refuse_foreign(base: _LocalBase, place: Path, folder: WatchedFolder) -> None:
    """Raise ConflictError at the first look where the base has another folder's documents under this name."""
    if find_foreign(base.known(), find_in_folder(place, folder.name)):
        raise ConflictError(
            f"{FOREIGN.format(name=folder.name)} Let it go, and attach it to a base of its own; if it is the same folder, "
            "have its documents deleted or its files added once (`sam documents add --replace`), and it is looked at again."
        )


def _require_allowed(folder: WatchedFolder, here: Here) -> Path:
    """Return the folder's true place; FolderAwayError unless this machine lets it be watched."""
    place = Path(folder.path).resolve()
    if not any(place.is_relative_to(root.resolve()) for root in here.roots):
        raise FolderAwayError(
            f"{folder.host.name} does not let {folder.path} be watched (SAM_WATCHED_FOLDERS)."
        )
    own = here.forbidden.resolve()
    if place.is_relative_to(own) or own.is_relative_to(place):
        raise FolderAwayError(f"{folder.path} holds SAM's own files, which no base may hold.")
    # As it was named: its own name counts, also where it is a link.
    return Path(folder.path)


def _claim(folder_id: int) -> WatchedFolder | None:
    claim = secrets.token_hex(16)
    until = seconds_from_now(LEASE_SECONDS)
    if not due_folders().filter(pk=folder_id).order_by().update(claim=claim, claimed_until=until):
        return None
    claimed = WatchedFolder.objects.filter(pk=folder_id, claim=claim)
    return claimed.select_related("host", "base").first()


class _Turn:
    """The row of a folder and its files, as one turn leaves them behind."""

    def __init__(self, folder: WatchedFolder) -> None:
        self._folder = folder
        self.memory = _read_memory(folder)
        if not folder.is_under_way:
            for name in (*COUNTED, "changed_files"):
                setattr(folder, name, 0)
        self._folder.is_under_way = True

    def save(self, lines: Sequence[Line]) -> None:
        """Remember what became of a file; LetGoError when it is somebody else's to do by now."""
        counts = Counter(line["outcome"] for line in lines)
        for name in COUNTED:
            setattr(self._folder, name, getattr(self._folder, name) + counts[name])
        self._folder.changed_files += bool(
            counts["added"] + counts["updated"] + counts["moved"] and not counts["refused"]
        )
        for line in lines:
            if line["outcome"] == "refused":
                self._folder.problem = f"{line['path']}: {line['said']}"
        self._write(claimed_until=seconds_from_now(LEASE_SECONDS))

    def pause(self) -> str:
        """Let go in the middle; the next turn goes on."""
        self._write(next_look_at=ClockTimestamp(), **_FREE)
        return f"{self._folder.path}: the look goes on in the next turn."

    def finish(self, files: int) -> str:
        """Say how the look went."""
        folder = self._folder
        folder.looks, folder.is_under_way = self.memory.looks, False
        folder.refused = self.memory.refused
        folder.unchanged = max(0, files - folder.changed_files - folder.refused)
        if not folder.refused:
            folder.problem = ""
        due = seconds_from_now(folder.every_seconds)
        self._write(next_look_at=due, looked_at=ClockTimestamp(), **_FREE)
        return f"{folder.path}: {folder.counts}."

    def fail(self, problem: str) -> str:
        """Say what kept it from looking, and try again when the next look is due."""
        self._folder.problem = problem
        try:
            self._write(next_look_at=seconds_from_now(self._folder.every_seconds), **_FREE)
        except LetGoError as error:
            return str(error)
        return problem

    def _write(self, **moments: object) -> None:
        folder = self._folder
        row = WatchedFolder.objects.filter(pk=folder.pk, claim=folder.claim)
        values = {name: getattr(folder, name) for name in _WRITTEN}
        with transaction.atomic():
            if not row.update(**values, **moments):
                raise LetGoError(f"{folder.path} was let go, or is looked at by somebody else.")
            _write_memory(folder, self.memory)


_FREE: dict[str, object] = {"claim": "", "claimed_until": None}
_WRITTEN = (
    *COUNTED,
    *("changed_files", "refused", "unchanged", "looks", "is_under_way", "problem"),
)


def _read_memory(folder: WatchedFolder) -> Memory:
    rows = WatchedFile.objects.filter(folder=folder).iterator(chunk_size=SAVED_AT_ONCE)
    files = {
        row.path: Remembered(
            row.signature, row.digest, row.looks_apart, row.next_look, row.is_missing
        )
        for row in rows
    }
    return Memory(folder.looks, files)


def _write_memory(folder: WatchedFolder, memory: Memory) -> None:
    changed, memory.changed = memory.changed, set()
    gone = [path for path in changed if path not in memory.files and _is_storable(path)]
    rows = [
        WatchedFile(
            folder=folder,
            path=path,
            signature=known.signature,
            digest=known.digest,
            looks_apart=known.looks_apart,
            next_look=known.next_look,
            is_missing=known.is_missing,
        )
        for path in changed
        if (known := memory.files.get(path)) is not None and _is_storable(path)
    ]
    if gone:
        WatchedFile.objects.filter(folder=folder, path__in=gone).delete()
    WatchedFile.objects.bulk_create(
        rows,
        batch_size=SAVED_AT_ONCE,
        update_conflicts=True,
        unique_fields=["folder", "path"],
        update_fields=["signature", "digest", "looks_apart", "next_look", "is_missing"],
    )


def _is_storable(path: str) -> bool:
    # A name that is no valid Unicode is refused again by each look.
    return path.encode("utf-8", "replace").decode() == path


@dataclass(frozen=True, slots=True)
class _LocalBase:
    """A base of this SAM, that files of this machine are put into."""

    base_id: int
    name: str
    here: Here
    deletes: bool

    def known(self) -> Known:
        """Return the documents of the folder."""
        known = Known()
        rows = Document.objects.filter(base=self.base_id, path__startswith=f"{self.name}/")
        for path, digest, key in rows.values_list("path", "source_sha256", "pk").iterator():
            known.add(path, digest, key)
        return known

    def put(self, file: LocalFile, moved_from: str) -> list[Line]:
        """Make documents of a file; ConflictError while the base is being switched."""
        with self._copied(file) as stored:
            if stored is None:
                return [refuse(file.path, TOO_LARGE)]
            delivery = Delivery(
                stored,
                file.path,
                moved_from=moved_from,
                delete_missing=self.deletes,
            )
            lines = take_delivery(self.base_id, delivery, self.here.embed)
        return [
            Line(
                path=line.path,
                outcome=line.outcome.value,
                document_id=line.document_id,
                said=line.said,
            )
            for line in lines
        ]

    def delete(self, document_id: int) -> None:
        """Delete a document, unless somebody else did."""
        try:
            delete_document(document_id)
        except NotFoundError:
            return

    @contextmanager
    def _copied(self, file: LocalFile) -> Iterator[Path | None]:
        """Lend a copy: what is read is what was checked, whoever writes to the folder meanwhile."""
        with (
            file.opened() as content,
            tempfile.NamedTemporaryFile(dir=self.here.scratch, prefix="watched-") as copy,
        ):
            size = 0
            while block := content.read(BLOCK):
                size += len(block)
                if size > MAX_FILE_BYTES:
                    break
                copy.write(block)
            copy.flush()
            yield Path(copy.name) if size <= MAX_FILE_BYTES else None
