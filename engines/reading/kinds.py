"""What kind a file is: by what it begins with where that says it, else by its name."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection
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
OLDER_OFFICE = (
    "It is encrypted, or in the format that Office had before 2007; save it as .docx, .pptx or .xlsx "
    "without a password."
)
OUTLOOK = "It is a mail as Outlook keeps it (.msg); save it as .eml."
PICTURE = "It is a picture; SAM reads text. Run text recognition over it first."
PACKED = "It is packed; add what is in it, or pack it as .zip."
SOUND = "It is sound or video; SAM reads text. Add what is said in it as text or subtitles."
PROGRAM = "It is a program, not a text."
EMPTY = "It is empty or blank; nothing was added."
NO_TEXTS = frozenset({PICTURE, SOUND, PROGRAM, EMPTY})
"""What is said of files that hold no text whatever is done with them: nobody misses them in a folder that was added."""
SEALED = "It is encrypted or signed as a whole (S/MIME, .p7m); open it in its program and save what is in it."
APPLE = "It is a document of Apple's Pages, Numbers or Keynote; export it as PDF or in an office format."
OTHER_PACKAGE = (
    "It is an archive, or a packed document of a kind that is not read; an archive is unpacked when "
    "its name ends in .zip and it is not in another archive."
)
NOT_READ = {
    b"-----BEGIN PGP MESSAGE": "It is encrypted with PGP; save what is in it, decrypted.",
    b"\x78\x9f\x3e\x22": "It is what Outlook packs for itself (winmail.dat); have it sent again as HTML or plain text.",
    b"{\\rtf": "RTF is not read; save it as .docx or text.",
    b"%!PS": "PostScript is not read; save it as PDF.",
    b"\x89PNG": PICTURE,
    b"\xff\xd8\xff": PICTURE,
    b"GIF8": PICTURE,
    b"II*\0": PICTURE,
    b"MM\0*": PICTURE,
    b"\x1aE\xdf\xa3": SOUND,
    b"\x7fELF": PROGRAM,
    b"MZ\x90": PROGRAM,
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
    *((8, brand, PICTURE) for brand in (b"heic", b"heix", b"mif1", b"avif", b"WEBP")),
    (0, b"BM", PICTURE),
    (4, b"ftyp", SOUND),
    (8, b"AVI ", SOUND),
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
    if why := say_not_read(head):
        raise InvalidRequestError(why)
    if _is_pdf(name, head):
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


def say_not_read(head: bytes) -> str:
    """Say why a file that begins so is not read; empty for one that may be."""
    if len(head) < HEAD_BYTES and not head.strip():
        return EMPTY
    marks = [(0, mark, sentence) for mark, sentence in NOT_READ.items()]
    if b"\0" in head:
        marks += _NOT_READ_WITH_ZEROS
    for at, mark, sentence in marks:
        if head.startswith(mark, at):
            return sentence
    return ""


def _kind_by_head(head: bytes) -> Kind:
    beginning = head.lstrip(BLANKS).lower()
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
    found = _BY_TYPE.get(kind) or _kind_by_parts(names)
    if found is None:
        is_apple = any(part.endswith((".iwa", "Index.zip")) for part in names)
        raise InvalidRequestError(APPLE if is_apple else OTHER_PACKAGE)
    return found


def _kind_by_parts(names: Collection[str]) -> Kind | None:
    for part, found in _BY_PART:
        if part in names:
            return found
    for folder, found in _BY_FOLDER:
        if "[Content_Types].xml" in names and any(part.startswith(folder) for part in names):
            return found
    return None
