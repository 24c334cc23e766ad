"""Zip archives of files, within limits and by what is really there, not by what the archive says.

Nothing of one touches the disk: a member is read into memory, and one that is refused leaves the others alone.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO

from engines.exceptions import InvalidRequestError
from engines.folders.hidden import is_of_system
from engines.reading.archive_names import read_names
from engines.reading.limits import (
    MAX_DIRECTORY_BYTES,
    MAX_FILE_BYTES,
    MAX_MEMBERS,
    MAX_RATIO,
    MAX_UNPACKED_BYTES,
    MIB,
    SMALL_BYTES,
)
from engines.reading.names import clean_path

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others may want gigabytes to unpack a kilobyte."""
_ENCRYPTED = 0x1
_END, _END_BYTES, _MAX_COMMENT = b"PK\x05\x06", 22, 0xFFFF
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20


class Archive:
    """An archive that was judged as a whole; InvalidRequestError for one that is refused as a whole."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            _refuse_large_directory(file)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError) as error:
            raise InvalidRequestError(
                "This is no zip archive that can be read; pack it again."
            ) from error
        self._members = [
            one for one in self._zip.infolist() if not (one.is_dir() or _is_of_system(one))
        ]
        self.names = read_names(self._members)
        """Of the files in it, in their order."""
        try:
            self._judge()
        except InvalidRequestError:
            self._zip.close()
            raise

    def _judge(self) -> None:
        if len(self._members) > MAX_MEMBERS:
            raise InvalidRequestError(
                f"The archive has {len(self._members)} files, {MAX_MEMBERS} are allowed; pack several "
                "archives."
            )
        if sum(member.file_size for member in self._members) > MAX_UNPACKED_BYTES:
            raise InvalidRequestError(
                f"The archive unpacks to more than {MAX_UNPACKED_BYTES // MIB} MB, which is as much as "
                "is allowed; pack several archives."
            )

    def read(self, number: int) -> bytes:
        """Return what is in a file of it; InvalidRequestError and UnsafeNameError say why not."""
        member = self._members[number]
        if self.names[number] in self.names[:number]:
            raise InvalidRequestError("The archive has two files of this name; keep one.")
        clean_path(self.names[number])
        _judge_member(member)
        try:
            with self._zip.open(member) as source:
                # The reader stops at the size that was checked and compares the checksum.
                return source.read()
        except (
            *(zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError),
            *(ValueError, RuntimeError),
        ) as error:
            raise InvalidRequestError("It is damaged in the archive; pack it again.") from error


def _judge_member(member: zipfile.ZipInfo) -> None:
    if _is_link(member):
        raise InvalidRequestError("This is a link, not a file; add what it leads to.")
    if member.flag_bits & _ENCRYPTED:
        raise InvalidRequestError("It is encrypted; pack it without a password.")
    if member.compress_type not in _METHODS:
        raise InvalidRequestError(
            "It is packed in a way that is not read; use plain zip (deflate)."
        )
    if member.file_size > MAX_FILE_BYTES:
        raise InvalidRequestError(
            f"It has {member.file_size} bytes, {MAX_FILE_BYTES} are allowed; split it."
        )
    if member.file_size > max(SMALL_BYTES, MAX_RATIO * member.compress_size):
        raise InvalidRequestError(
            f"It would unpack to more than {MAX_RATIO} times its size, which no text does."
        )


def _is_of_system(member: zipfile.ZipInfo) -> bool:
    return any(map(is_of_system, member.filename.replace("\\", "/").split("/")))


def _is_link(member: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(member.external_attr >> 16)
    return kind not in (0, stat.S_IFREG)


def _refuse_large_directory(file: IO[bytes]) -> None:
    """Judge the size of the list of names as the reader will find it: it reads all of it at once."""
    size = file.seek(0, 2)
    length = min(size, 1 + _MAX_COMMENT + _END_BYTES + _LOCATOR_BYTES)
    file.seek(size - length)
    tail = file.read(length)
    file.seek(0)
    at = _find_end(tail)
    if at is None:
        raise InvalidRequestError("This is no zip archive; pack it again.")
    is_zip64 = tail[max(at - _LOCATOR_BYTES, 0) : at].startswith(_LOCATOR)
    directory_bytes = int.from_bytes(tail[at + 12 : at + 16], "little")
    if is_zip64 or directory_bytes > MAX_DIRECTORY_BYTES:
        raise InvalidRequestError(
            f"The archive lists too many files, {MAX_MEMBERS} are allowed; pack several archives."
        )


def _find_end(tail: bytes) -> int | None:
    """Return where the end record begins: at the very end, else the last before a comment."""
    last = len(tail) - _END_BYTES
    if last >= 0 and tail[last:].startswith(_END) and tail.endswith(b"\0\0"):
        return last
    found = tail.rfind(_END)
    return found if 0 <= found <= last else None
