"""Files from outside as documents: text and Markdown in UTF-8, alone or in a zip archive.

A zip is untrusted. Nothing of it touches the disk: each member is read into memory within limits, by what
is really there and not by what the archive says, and one that is refused leaves the others alone.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from engines.exceptions import InvalidRequestError, SamError
from engines.files.names import check_name
from engines.models import Document
from engines.services.knowledge.documents import MAX_TEXT_BYTES

MARKDOWN_ENDINGS = (".md", ".markdown")
ZIP_ENDINGS = (".zip",)
NOT_UTF8 = "This is no UTF-8 text; save it as text or Markdown first."

MIB = 1024 * 1024
MAX_MEMBERS = 1_000
MAX_DIRECTORY_BYTES = MIB
"""Of an archive's list of names, before it is read: a thousand names are far below."""
MAX_UNPACKED_BYTES = 200 * MIB
MAX_RATIO = 100
"""Unpacked to packed, of one member that is not small; prose has 2 to 10."""
SMALL_BYTES = MIB
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others may want gigabytes to unpack a kilobyte."""
_ENCRYPTED = 0x1
_PACKED = (b"PK\x03\x04", b"PK\x05\x06")
_PDF = b"%PDF-"
"""Both may be made of nothing but ASCII; others are no UTF-8 anyway."""
_OF_MACS = "__MACOSX/"
"""Where macOS packs what it knows about files; nobody sees it there."""

_END, _END_BYTES, _MAX_COMMENT = b"PK\x05\x06", 22, 0xFFFF
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20


class ArchiveRefusedError(InvalidRequestError):
    """An archive that is refused as a whole."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file that can become a document."""

    name: str
    text: str
    media_type: str


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that cannot, and why."""

    name: str
    why: str


def read_text_file(name: str, content: bytes) -> TextFile:
    """Return a file as text; its name says whether that is Markdown. InvalidRequestError for others."""
    if content.startswith(_PACKED):
        raise InvalidRequestError(
            "This is an archive or an office document; add the text that is in it as a file."
        )
    if content.startswith(_PDF):
        raise InvalidRequestError("PDF is not read; save it as text or Markdown first.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(NOT_UTF8) from error
    is_markdown = name.lower().endswith(MARKDOWN_ENDINGS)
    return TextFile(
        name, text, Document.MediaType.MARKDOWN if is_markdown else Document.MediaType.TEXT
    )


def is_archive(name: str) -> bool:
    """Whether a file is to be unpacked, by its name."""
    return name.lower().endswith(ZIP_ENDINGS)


def read_archive(file: IO[bytes]) -> Iterator[TextFile | RefusedFile]:
    """Return what is in a zip, one after the other, so that only one is in memory.

    Raises ArchiveRefusedError, before anything is returned, for one that is broken or too large.
    """
    _refuse_large_directory(file)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise ArchiveRefusedError(
            "This is no zip archive that can be read; pack it again."
        ) from error
    members = [one for one in archive.infolist() if not (one.is_dir() or _is_of_macs(one))]
    if len(members) > MAX_MEMBERS:
        raise ArchiveRefusedError(
            f"The archive has {len(members)} files, {MAX_MEMBERS} are allowed; pack several archives."
        )
    if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
        raise ArchiveRefusedError(_too_much())
    return _read_members(archive, members)


def _read_members(
    archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]
) -> Iterator[TextFile | RefusedFile]:
    seen: set[str] = set()
    with archive:
        for member in members:
            name = member.filename
            try:
                if name in seen:
                    raise InvalidRequestError("The archive has two files of this name; keep one.")
                seen.add(name)
                yield read_text_file(name, _read_member(archive, member))
            except SamError as error:
                yield RefusedFile(_make_printable(name), str(error))


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    check_name(member.filename)
    if _is_link(member):
        raise InvalidRequestError("This is a link, not a file; add what it leads to.")
    if member.flag_bits & _ENCRYPTED:
        raise InvalidRequestError("It is encrypted; pack it without a password.")
    if member.compress_type not in _METHODS:
        raise InvalidRequestError(
            "It is packed in a way that is not read; use plain zip (deflate)."
        )
    if member.file_size > MAX_TEXT_BYTES:
        raise InvalidRequestError(
            f"It has {member.file_size} bytes, {MAX_TEXT_BYTES} are allowed; split the document."
        )
    if member.file_size > max(SMALL_BYTES, MAX_RATIO * member.compress_size):
        raise InvalidRequestError(
            f"It would unpack to more than {MAX_RATIO} times its size, which no text does."
        )
    try:
        with archive.open(member) as source:
            # The reader stops at the size that was checked and compares the checksum.
            return source.read()
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        ValueError,
    ) as error:
        raise InvalidRequestError("It is damaged in the archive; pack it again.") from error


def _make_printable(name: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def _is_of_macs(member: zipfile.ZipInfo) -> bool:
    return member.filename.startswith(_OF_MACS)


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
        raise ArchiveRefusedError("This is no zip archive; pack it again.")
    is_zip64 = tail[max(at - _LOCATOR_BYTES, 0) : at].startswith(_LOCATOR)
    directory_bytes = int.from_bytes(tail[at + 12 : at + 16], "little")
    if is_zip64 or directory_bytes > MAX_DIRECTORY_BYTES:
        raise ArchiveRefusedError(
            f"The archive lists too many files, {MAX_MEMBERS} are allowed; pack several archives."
        )


def _find_end(tail: bytes) -> int | None:
    """Return where the end record begins: at the very end, else the last before a comment."""
    last = len(tail) - _END_BYTES
    if last >= 0 and tail[last:].startswith(_END) and tail.endswith(b"\0\0"):
        return last
    found = tail.rfind(_END)
    return found if 0 <= found <= last else None


def _too_much() -> str:
    return (
        f"The archive unpacks to more than {MAX_UNPACKED_BYTES // MIB} MB, which is as much as is "
        "allowed; pack several archives."
    )
