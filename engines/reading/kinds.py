"""What kind a file is: by what it begins with where that says it, else by its name."""

from __future__ import annotations

import re
import zipfile
from enum import StrEnum
from pathlib import PurePosixPath
from typing import IO

from engines.exceptions import InvalidRequestError

HEAD_BYTES = 4096


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
}
_BY_PART = (
    ("word/document.xml", Kind.WORD),
    ("ppt/presentation.xml", Kind.SLIDES),
    ("xl/workbook.xml", Kind.SHEETS),
    ("xl/workbook.bin", Kind.SHEETS),
    ("META-INF/container.xml", Kind.EPUB),
)
_BY_TYPE = {
    "application/vnd.oasis.opendocument.text": Kind.OPEN_TEXT,
    "application/vnd.oasis.opendocument.text-template": Kind.OPEN_TEXT,
    "application/vnd.oasis.opendocument.presentation": Kind.OPEN_TEXT,
    "application/vnd.oasis.opendocument.spreadsheet": Kind.SHEETS,
    "application/epub+zip": Kind.EPUB,
}
OLDER_OFFICE = (
    "It is encrypted, or in the format that Office had before 2007; save it as .docx, .pptx or .xlsx "
    "without a password."
)
OUTLOOK = "It is a mail as Outlook keeps it (.msg); save it as .eml."
PICTURE = "It is a picture; SAM reads text. Run text recognition over it first."
PACKED = "It is packed; add what is in it, or pack it as .zip."
SOUND = "It is sound or video; SAM reads text. Add what is said in it as text or subtitles."
NOT_READ = {
    b"{\\rtf": "RTF is not read; save it as .docx or text.",
    b"%!PS": "PostScript is not read; save it as PDF.",
    b"\x89PNG": PICTURE,
    b"\xff\xd8\xff": PICTURE,
    b"GIF8": PICTURE,
    b"II*\0": PICTURE,
    b"MM\0*": PICTURE,
    b"\x1aE\xdf\xa3": SOUND,
    b"\x7fELF": "It is a program, not a text.",
    b"MZ\x90": "It is a program, not a text.",
    b"Rar!": "It is a RAR archive; pack it as .zip.",
    b"7z\xbc\xaf": "It is a 7z archive; pack it as .zip.",
    b"\x1f\x8b": "It is packed with gzip; add what is in it, or pack it as .zip.",
    b"\xfd7zXZ\0": PACKED,
    b"\x28\xb5\x2f\xfd": PACKED,
}
_NOT_READ_WITH_ZEROS = (
    (0, b"ID3", SOUND),
    (0, b"OggS", SOUND),
    (0, b"fLaC", SOUND),
    (0, b"BZh", PACKED),
    (4, b"ftyp", SOUND),
    (8, b"WEBP", PICTURE),
    (8, b"WAVE", SOUND),
    (257, b"ustar", PACKED),
)
"""What letters say, which a text may begin with too, but no text has zeros: from which byte on, what, and the
sentence."""


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
    _require_read(head)
    if b"%PDF-" in head[:1024] and not head.startswith(_PACKED):
        return Kind.PDF
    if head.startswith(_OLE):
        if ending_of(name) == ".xls":
            return Kind.SHEETS
        raise InvalidRequestError(OUTLOOK if ending_of(name) == ".msg" else OLDER_OFFICE)
    if head.startswith(_PACKED):
        return _kind_of_package(file)
    if not ending_of(name) and MAIL_BEGINS.match(head):
        # As Thunderbird names them; a patch of git begins so too, and has an ending.
        return Kind.MAILBOX
    return _BY_ENDING.get(ending_of(name)) or _kind_by_head(head)


def _require_read(head: bytes) -> None:
    marks = [(0, mark, sentence) for mark, sentence in NOT_READ.items()]
    if b"\0" in head:
        marks += _NOT_READ_WITH_ZEROS
    for at, mark, sentence in marks:
        if head.startswith(mark, at):
            raise InvalidRequestError(sentence)


def _kind_by_head(head: bytes) -> Kind:
    beginning = head[:HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    is_page = beginning.startswith((b"<!doctype html", b"<html"))
    return Kind.MARKUP if is_page else Kind.TEXT


def _kind_of_package(file: IO[bytes]) -> Kind:
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
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    for part, found in _BY_PART:
        if part in names:
            return found
    raise InvalidRequestError(
        "It is an archive, or a packed document of a kind that is not read; an archive is unpacked when "
        "its name ends in .zip and it is not in another archive."
    )
