"""What the process that reads does: one file, or the files of one archive, one request each."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from engines.exceptions import InvalidRequestError, UnsafeNameError
from engines.reading.archive import Archive
from engines.reading.dispatch import read_content
from engines.reading.kinds import is_archive
from engines.reading.result import Source
from engines.runtimes.child.frames import Frame
from engines.runtimes.child.main import Job

TOO_DEEP = "It is nested so deep that no program wrote it for people; save it anew."
TOO_LARGE = "Reading it takes more memory than a file gets; split it."


class ReadingHandler:
    """Reads; every operation names the file's path on the disk and its name for people."""

    def __init__(self) -> None:
        self._archive: Archive | None = None

    def handle(self, job: Job) -> Frame | None:
        """Answer ``list`` with the names in an archive and ``read`` with a Reading, both as JSON."""
        job.begin()
        given = job.request.header["parameters"]
        try:
            if job.request.header["op"] == "list":
                return Frame({}, msgspec.json.encode(self._open(given).names))
            return Frame({}, self._read(given))
        except RecursionError as error:
            raise InvalidRequestError(TOO_DEEP) from error
        except MemoryError as error:
            raise InvalidRequestError(TOO_LARGE) from error
        except UnsafeNameError as error:
            raise InvalidRequestError(str(error)) from error

    def proceed(self) -> bool:
        """Nothing is done by steps."""
        return False

    def _open(self, given: Any) -> Archive:
        if self._archive is None:
            self._archive = Archive(Path(given["path"]))
        return self._archive

    def _read(self, given: Any) -> bytes:
        member: int | None = given["member"]
        if member is None:
            name, content = str(given["name"]), Path(given["path"]).read_bytes()
        else:
            archive = self._open(given)
            name, content = archive.names[member], archive.read(member)
            if is_archive(name):
                raise InvalidRequestError("It is an archive in an archive; add it by itself.")
        found = read_content(Source(name, content))
        digest = hashlib.sha256(content).hexdigest()
        return msgspec.json.encode(msgspec.structs.replace(found, sha256=digest))
