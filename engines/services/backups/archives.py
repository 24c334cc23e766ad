"""Reading a person's archive: what it is, its tables in order, its adapters' files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from engines.archive import ArchiveReader, ArchiveSummary, MasterKeyRing, MemberStream, WrappedKey
from engines.exceptions import ArchiveError
from engines.files.artifacts import ArtifactStore
from engines.files.durable import Checkpoint, durable_file, go_on
from engines.files.private import private_folder
from engines.services.backups.members import ADAPTERS, FORMAT, MANIFEST

FORMATS = ("sam-backup-1", FORMAT)
ROWS = "rows/"
FILES = f"{ADAPTERS}/"
MAX_ROWS_BYTES = 512 * 1024 * 1024
"""Of one part of a table: a part holds 1 000 rows, or one of up to 50 MB of text."""

TakeRows = Callable[[str, list[Any]], None]


@dataclass(frozen=True, slots=True)
class SealedFile:
    """An archive on this machine, the wrapped key of its record if it has one, and the backup keys."""

    path: Path
    known_key: WrappedKey | None
    keys: MasterKeyRing


@dataclass(frozen=True, slots=True)
class Manifest:
    """Of which format an archive is, whose, and of when; archives of the first format do not say whose."""

    format: str
    person: str
    made_at: datetime | None
    """None for archives from before they said so, which is before 2026-11-30."""


def read_manifest(sealed: SealedFile) -> tuple[Manifest, WrappedKey]:
    """Read an archive's beginning; ArchiveError when it does not open or is of no known format.

    Nothing is proven of the rest.
    """
    with ArchiveReader(sealed.path, sealed.known_key, sealed.keys) as reader:
        member = next(reader.members(), None)
        if member is None or member.name != MANIFEST:
            raise ArchiveError("This archive is not the backup of a person.")
        return _manifest(member), reader.summary().wrapped_key


def walk_archive(
    sealed: SealedFile,
    take_rows: TakeRows,
    take_file: Callable[[MemberStream], None] | None = None,
    *,
    checkpoint: Checkpoint = go_on,
) -> ArchiveSummary:
    """Go through all of an archive in its order; what it is, once it is proven whole.

    ``checkpoint`` is called between pieces of it, and may raise to stop.
    ArchiveError on any damage, also after some of it was taken: undo that then.
    """
    with ArchiveReader(sealed.path, sealed.known_key, sealed.keys, checkpoint=checkpoint) as reader:
        for member in reader.members():
            if member.name == MANIFEST:
                _manifest(member)
            elif member.name.startswith(ROWS):
                take_rows(_table_of(member.name), _rows(member))
            elif member.name.startswith(FILES) and take_file is not None:
                take_file(member)
        return reader.summary()


def store_adapter_file(member: MemberStream, store: ArtifactStore, scratch: Path) -> None:
    """Put an adapter's file back into the store, under the digest of its content."""
    path = private_folder(scratch) / f"restored-{Path(member.name).stem}.gguf"
    path.unlink(missing_ok=True)
    try:
        with durable_file(path) as target:
            while block := member.read():
                target.write(block)
        store.put_file(path, kind=ADAPTERS)
    finally:
        path.unlink(missing_ok=True)


def _manifest(member: MemberStream) -> Manifest:
    stated = _loaded(member)
    if not isinstance(stated, dict) or stated.get("format") not in FORMATS:
        raise ArchiveError(
            "This backup is of a format that is not known here; was it made by a newer SAM? Update "
            "this one and try again."
        )
    made = stated.get("made_at")
    made_at = datetime.fromisoformat(made) if isinstance(made, str) else None
    return Manifest(str(stated["format"]), str(stated.get("person", "")), made_at)


def _table_of(name: str) -> str:
    return name.removeprefix(ROWS).removesuffix(".json").split("/")[0]


def _rows(member: MemberStream) -> list[Any]:
    rows = _loaded(member)
    if not isinstance(rows, list):
        raise ArchiveError(f"{member.name!r} in the backup holds no rows; use another backup.")
    return rows


def _loaded(member: MemberStream) -> Any:
    try:
        return json.loads(member.read_all(MAX_ROWS_BYTES))
    except ValueError as error:
        raise ArchiveError(f"{member.name!r} in the backup is no JSON: {error}.") from error
