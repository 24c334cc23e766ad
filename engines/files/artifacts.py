"""One store for backups, adapters and index files: named by content, written once, never rewritten."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from engines.exceptions import ArtifactMissingError, InvalidRequestError, UnsafeNameError
from engines.files.durable import (
    BLOCK,
    READ_ONLY,
    Checkpoint,
    durable_file,
    go_on,
    open_regular,
    rename_durably,
)
from engines.files.private import private_folder

_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")
_KEY = re.compile(
    r"(?P<kind>[a-z][a-z0-9-]{0,31})/(?P<start>[0-9a-f]{2})/(?P<sha>(?P=start)[0-9a-f]{62})"
)
_ASIDE = ".incoming"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored file: its key, SHA-256 (hex) and size in bytes."""

    key: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it lies in the store: its key, size in bytes, and when it was last stored."""

    key: str
    size: int
    stored_at: datetime


class ArtifactStore:
    """A folder or bucket of files named by their SHA-256.

    A key is ``<kind>/<first two digits>/<sha256>``; any other is refused (UnsafeNameError). Local files
    are fsynced and read-only; elsewhere a file is uploaded aside and moved in.
    """

    def __init__(self, url: str) -> None:
        """``url`` as fsspec reads it (a path, ``file://``, ``s3://``…); InvalidRequestError if it cannot."""
        try:
            filesystem, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise InvalidRequestError(
                f"The artifact store cannot be opened ({error}); name a folder, or install the "
                "fsspec package for this kind of address."
            ) from error
        self._fs: Any = filesystem
        self._root = str(root).rstrip("/")
        self._local = isinstance(filesystem, LocalFileSystem)
        self._checkpoint: Checkpoint = go_on

    def stopping_at(self, checkpoint: Checkpoint) -> Self:
        """Return this store for work that may be stopped: what ``checkpoint`` raises between two blocks ends the
        storing, hashing or fetching, which leaves nothing behind.
        """
        store = copy(self)
        store._checkpoint = checkpoint
        return store

    def put_file(self, path: Path, *, kind: str) -> Artifact:
        """Store a regular file's content under its digest; a sound copy already there is kept."""
        try:
            source = open_regular(path)
        except OSError as error:
            raise ArtifactMissingError(f"The file cannot be stored: {error}.") from error
        with source:
            return self._put(source, kind)

    def put_bytes(self, data: bytes, *, kind: str) -> Artifact:
        """Store bytes under their digest, as ``put_file``."""
        return self._put(io.BytesIO(data), kind)

    def open(self, key: str) -> BinaryIO:
        """Open for reading (unverified); ArtifactMissingError when there is no such artifact."""
        path = self._path(key)
        try:
            return (
                open_regular(Path(path))
                if self._local
                else cast(BinaryIO, self._fs.open(path, "rb"))
            )
        except FileNotFoundError as error:
            raise ArtifactMissingError(
                f"The artifact {key} is not in the store; check the store's address, or make it again."
            ) from error

    def exists(self, key: str) -> bool:
        """Tell whether the store has the key; says nothing about the bytes."""
        return bool(self._fs.isfile(self._path(key)))

    def size(self, key: str) -> int:
        """Return how many bytes an artifact has; ArtifactMissingError when it is not there."""
        path = self._path(key)
        try:
            return int(self._fs.size(path))
        except FileNotFoundError as error:
            raise ArtifactMissingError(f"The artifact {key} is not in the store.") from error

    def pages(self) -> Iterator[list[StoredFile]]:
        """Yield all that is stored, a folder at a time; what comes and goes meanwhile may be missed."""
        for kind in self._folders(self._root):
            for start in self._folders(kind):
                found = self._fs.ls(start, detail=True)
                yield [file for entry in found if (file := self._stored(entry)) is not None]

    def remove_unnamed(
        self, key: str, *, before: datetime, is_named: Callable[[str], bool]
    ) -> bool:
        """Remove an artifact that no row names and that was last stored before then; whether it did.

        Whoever stores the same content meanwhile either keeps this from happening or stores it again.
        """
        if not self._local:
            # No lock there. To store what is there already uploads it again and so renews its age, which
            # is why the age is asked last.
            with suppress(FileNotFoundError):
                if is_named(key) or self._fs.modified(self._path(key)) >= before:
                    return False
                self.delete(key)
                return True
            return False
        path = Path(self._path(key))
        with suppress(FileNotFoundError), open_regular(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            stored_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            if stored_at < before and _is_at(file, path) and not is_named(key):
                path.unlink()
                return True
        return False

    def delete(self, key: str) -> None:
        """Remove an artifact; nothing happens when it is gone already."""
        try:
            self._fs.rm_file(self._path(key))
        except FileNotFoundError:
            return

    def verify(self, key: str) -> Artifact:
        """Read it all; ArtifactMissingError when it is not there or its bytes are not those of its key."""
        with self.open(key) as file:
            sha256, size = self._copy(file)
        if sha256 != _sha_of(key):
            raise ArtifactMissingError(
                f"The artifact {key} is damaged in the store: its bytes have SHA-256 {sha256}. "
                "Store it again; that replaces the damaged copy."
            )
        return Artifact(key, sha256, size)

    def local_path(self, key: str, cache_dir: Path) -> Path:
        """Return a local file to map or read: the store's own, or a verified copy in ``cache_dir``.

        The store's own is not read here: whoever opens it checks it. ArtifactMissingError as above.
        """
        if self._local:
            self.open(key).close()
            return Path(self._path(key))
        _sha_of(key)
        cached = cache_dir / key
        # Hashed at every use: a cache on a local disk is nobody's backup.
        if not (cached.is_file() and self._digest_of(cached) == _sha_of(key)):
            self._fetch(key, cached)
        return cached

    def remove_leftovers(self, before: datetime) -> int:
        """Remove what interrupted writers left aside, last written before then; return how many."""
        folder = f"{self._root}/{_ASIDE}"
        if not self._fs.isdir(folder):
            return 0
        old = [
            path for path in self._fs.ls(folder, detail=False) if self._fs.modified(path) < before
        ]
        for path in old:
            self._fs.rm_file(path)
        return len(old)

    def _put(self, source: BinaryIO, kind: str) -> Artifact:
        if not _KIND.fullmatch(kind):
            raise UnsafeNameError(
                f"{kind!r} is not a kind of artifact: use small letters, digits and '-', at most 32."
            )
        # The digest is known only after the last byte, so the name comes last.
        with self._aside() as aside:
            sha256, size = self._receive(source, aside)
            artifact = Artifact(f"{kind}/{sha256[:2]}/{sha256}", sha256, size)
            if not (self._local and self._renew(artifact.key)):
                self._move_in(aside, artifact.key)
        return artifact

    @contextmanager
    def _aside(self) -> Iterator[str]:
        """Give a path to write to; a file that is still there at the end is removed."""
        path = f"{self._root}/{_ASIDE}/{uuid.uuid4().hex}"
        self._make_folder(f"{self._root}/{_ASIDE}")
        try:
            yield path
        finally:
            if self._fs.exists(path):
                self._fs.rm_file(path)

    def _receive(self, source: BinaryIO, aside: str) -> tuple[str, int]:
        if self._local:
            with durable_file(Path(aside), mode=READ_ONLY) as target:
                return self._copy(source, target)
        with self._fs.open(aside, "wb") as target:
            return self._copy(source, target)

    def _renew(self, key: str) -> bool:
        """Give an undamaged copy that is there a new age; False when there is none to keep.

        Its lock keeps the collector from it, and a name that the collector took away is noticed. What
        belongs to another user is replaced.
        """
        path = Path(self._path(key))
        with suppress(FileNotFoundError, PermissionError), open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            if self._copy(file)[0] == _sha_of(key) and _is_at(file, path):
                os.utime(file.fileno())
                return True
        return False

    def _folders(self, path: str) -> list[str]:
        """Return the folders of a folder, without those that begin with a dot."""
        if not self._fs.isdir(path):
            return []
        found = self._fs.ls(path, detail=True)
        folders = sorted(str(entry["name"]) for entry in found if entry["type"] == "directory")
        return [name for name in folders if not name.rsplit("/", 1)[-1].startswith(".")]

    def _stored(self, entry: dict[str, Any]) -> StoredFile | None:
        """Describe an entry of a listing; None for what is no artifact."""
        name = str(entry["name"])
        key = "/".join(name.rsplit("/", 3)[-3:])
        if entry["type"] != "file" or _KEY.fullmatch(key) is None:
            return None
        try:
            return StoredFile(key, int(entry["size"]), self._fs.modified(name))
        except FileNotFoundError:
            return None

    def _move_in(self, aside: str, key: str) -> None:
        path = self._path(key)
        self._make_folder(path.rsplit("/", 1)[0])
        if self._local:
            rename_durably(Path(aside), Path(path))
        else:
            self._fs.mv(aside, path)

    def _fetch(self, key: str, cached: Path) -> None:
        with self.open(key) as source, durable_file(cached) as target:
            sha256, _ = self._copy(source, target)
            if sha256 != _sha_of(key):
                raise ArtifactMissingError(
                    f"The artifact {key} arrived with SHA-256 {sha256}; nothing was kept. Try "
                    "again, and if it stays so, store it again."
                )

    def _copy(self, source: BinaryIO, target: BinaryIO | None = None) -> tuple[str, int]:
        """Copy in blocks (or only read); return SHA-256 and size."""
        digest = hashlib.sha256()
        size = 0
        while block := source.read(BLOCK):
            self._checkpoint()
            digest.update(block)
            size += len(block)
            if target is not None:
                target.write(block)
        return digest.hexdigest(), size

    def _digest_of(self, path: Path) -> str:
        with open_regular(path) as file:
            return self._copy(file)[0]

    def _make_folder(self, path: str) -> None:
        if self._local:
            private_folder(Path(path))
        else:
            self._fs.makedirs(path, exist_ok=True)

    def _path(self, key: str) -> str:
        # Refuses every other key: a key comes out of the database and becomes a path.
        _sha_of(key)
        return f"{self._root}/{key}"


def _sha_of(key: str) -> str:
    match = _KEY.fullmatch(key)
    if match is None:
        raise UnsafeNameError(
            f"{key[:200]!r} is not the key of an artifact; take it from its record."
        )
    return match["sha"]


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the path still names this open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False
