"""What kind a file is: by what it begins with where that says it, else by its name."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection
from enum import StrEnum
from pathlib import PurePosixPath
from typing import IO

from engines.exceptions import InvalidRequestError
from engines.reading.limits import HEAD_BYTES
from engines.reading.refusals import (
    SEALED,
    say_not_read,
    say_of_link,
    say_of_package,
    say_of_streams,
)


class Kind(StrEnum):
    """A kind of file; its value names the module that reads it, ``text`` is read where it is."""

    TEXT = "text"
    PDF = "pdf"
    WORD = "word"
    SLIDES = "slides"
    SHEETS = "sheets"
    OPEN_TEXT = "open_text"
    EPUB = "epub"
    MARKUP = "markup"
    MAIL = "mail"
    MAILBOX = "mailbox"
    TABLE = "table"
    JSON = "data"


MAIL_BEGINS = re.compile(
    rb"^From (?=[^\r\n]*?[0-9]{4})[^\r\n]*+\r?\n(?=>?[!-9;-~]++:)", re.MULTILINE
)
"""The line before each mail of a mailbox, with who sent it and when, and behind it a header (RFC 4155).

Nothing is tried twice in it, so that the longest line costs its length.
"""
ARCHIVE_ENDINGS = frozenset({".zip"})
_PACKED = (b"PK\x03\x04", b"PK\x05\x06")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BY_ENDING = {
    ".html": Kind.MARKUP,
    ".htm": Kind.MARKUP,
    ".xhtml": Kind.MARKUP,
    ".svg": Kind.MARKUP,
    ".eml": Kind.MAIL,
    ".emlx": Kind.MAIL,
    ".mbox": Kind.MAILBOX,
    ".mht": Kind.MAIL,
    ".mhtml": Kind.MAIL,
    ".csv": Kind.TABLE,
    ".tsv": Kind.TABLE,
    ".json": Kind.JSON,
    ".jsonl": Kind.JSON,
    ".ndjson": Kind.JSON,
    ".geojson": Kind.JSON,
    ".ipynb": Kind.JSON,
    ".fodt": Kind.OPEN_TEXT,
    ".fodp": Kind.OPEN_TEXT,
    ".fods": Kind.SHEETS,
}
_OF_OFFICE = frozenset({".doc", ".docx", ".xls", ".xlsx", ".ppt"})
_OF_SHEETS = frozenset({".xls", ".xlsx", ".xml"})
SHEETS_IN_XML = b"urn:schemas-microsoft-com:office:spreadsheet"
_MIME = re.compile(rb"^MIME-Version:", re.MULTILINE | re.IGNORECASE)
BLANKS = b"\xef\xbb\xbf \t\r\n"
_PDF_WITHIN = 1024
_ASCII = 0x80
_BY_PART = (
    ("word/document.xml", Kind.WORD),
    ("ppt/presentation.xml", Kind.SLIDES),
    ("xl/workbook.xml", Kind.SHEETS),
    ("xl/workbook.bin", Kind.SHEETS),
    ("META-INF/container.xml", Kind.EPUB),
)
_BY_FOLDER = (("word/", Kind.WORD), ("ppt/", Kind.SLIDES), ("xl/", Kind.SHEETS))
"""Where Office's programs on the web name the first part otherwise."""
_BY_TYPE = {
    "application/vnd.oasis.opendocument.text": Kind.OPEN_TEXT,
    "application/vnd.oasis.opendocument.text-template": Kind.OPEN_TEXT,
    "application/vnd.oasis.opendocument.presentation": Kind.OPEN_TEXT,
    "application/vnd.oasis.opendocument.presentation-template": Kind.OPEN_TEXT,
    "application/vnd.oasis.opendocument.graphics": Kind.OPEN_TEXT,
    "application/vnd.oasis.opendocument.spreadsheet": Kind.SHEETS,
    "application/vnd.oasis.opendocument.spreadsheet-template": Kind.SHEETS,
    "application/epub+zip": Kind.EPUB,
}


def is_archive(name: str) -> bool:
    """Whether a file is to be unpacked, by its name."""
    return ending_of(name) in ARCHIVE_ENDINGS


def ending_of(name: str) -> str:
    """Return the ending of a file's name, in small letters with its dot."""
    return PurePosixPath(name).suffix.lower()


def kind_of(name: str, file: IO[bytes]) -> Kind:
    """Return the kind of a file; InvalidRequestError for one that is known and not read."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if why := say_not_read(head) or say_of_link(name, head):
        raise InvalidRequestError(why)
    if _is_pdf(name, head):
        return Kind.PDF
    if head.startswith(_OLE):
        if ending_of(name) == ".xls":
            return Kind.SHEETS
        raise InvalidRequestError(say_of_streams(name))
    if head.startswith(_PACKED):
        return _kind_of_package(name, file)
    if not ending_of(name) and MAIL_BEGINS.match(head):
        # As Thunderbird names them; a patch of git begins so too, and has an ending.
        return Kind.MAILBOX
    if ending_of(name) == ".p7m":
        raise InvalidRequestError(SEALED)
    return _kind_of_export(name, head) or _BY_ENDING.get(ending_of(name)) or _kind_by_head(head)


def _kind_of_export(name: str, head: bytes) -> Kind | None:
    """Return the kind of a file that a program on the web names as one of Office: a page, or a table as text or XML."""
    ending = ending_of(name)
    if ending in _OF_SHEETS and SHEETS_IN_XML in head:
        return Kind.SHEETS
    if ending not in _OF_OFFICE:
        return None
    if _MIME.search(head):
        return Kind.MAIL
    if head.lstrip(BLANKS).startswith(b"<"):
        return None if head.lstrip(BLANKS).startswith(b"<?xml") else Kind.MARKUP
    return Kind.TABLE if ending in _OF_SHEETS else None


def _is_pdf(name: str, head: bytes) -> bool:
    """Whether it begins as PDF, maybe behind what a server or a signature put before it; texts may speak of PDF."""
    at = head.find(b"%PDF-", 0, _PDF_WITHIN)
    if at <= 0 or ending_of(name) == ".pdf":
        return at >= 0 and not head.startswith(_PACKED)
    is_other = head.startswith(_PACKED) or ending_of(name) in _BY_ENDING
    return not is_other and any(byte >= _ASCII for byte in head[at : at + 64])


def _kind_by_head(head: bytes) -> Kind:
    beginning = head.lstrip(BLANKS).lower()
    is_page = beginning.startswith((b"<!doctype html", b"<html"))
    return Kind.MARKUP if is_page else Kind.TEXT


def _kind_of_package(name: str, file: IO[bytes]) -> Kind:
    try:
        with zipfile.ZipFile(file) as package:
            names = set(package.namelist())
            kind = ""
            if "mimetype" in names and package.getinfo("mimetype").file_size < HEAD_BYTES:
                kind = package.read("mimetype").decode("ascii", "replace").strip()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError) as error:
        raise InvalidRequestError(
            "It is packed like an archive or an office document, and is damaged; save it anew."
        ) from error
    finally:
        file.seek(0)
    found = _BY_TYPE.get(kind) or _kind_by_parts(names)
    if found is None:
        raise InvalidRequestError(say_of_package(name, names))
    return found


def _kind_by_parts(names: Collection[str]) -> Kind | None:
    for part, found in _BY_PART:
        if part in names:
            return found
    for folder, found in _BY_FOLDER:
        if "[Content_Types].xml" in names and any(part.startswith(folder) for part in names):
            return found
    return None
