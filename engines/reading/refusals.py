"""What is said of files that are known and not read: what each is, and what to do with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from engines.reading.limits import HEAD_BYTES

OLDER_OFFICE = (
    "It is encrypted, or in the format that Office had before 2007; save it as .docx, .pptx or .xlsx "
    "without a password."
)
OUTLOOK = "It is a mail as Outlook keeps it (.msg); save it as .eml."
PICTURE = "It is a picture; SAM reads text. Run text recognition over it first."
PACKED = "It is packed; add what is in it, or pack it as .zip."
SOUND = "It is sound or video; SAM reads text. Add what is said in it as text or subtitles."
PROGRAM = "It is a program, not a text."
FONT = "It is a font, not a text."
KINDLE = "It is a book as Amazon's programs keep it; convert it to EPUB, if it is not locked."
EMPTY = "It is empty or blank; nothing was added."
NO_TEXTS = frozenset({PICTURE, SOUND, PROGRAM, FONT, EMPTY})
"""What is said of files that hold no text whatever is done with them: nobody misses them in a folder that was added."""
SEALED = "It is encrypted or signed as a whole (S/MIME, .p7m); open it in its program and save what is in it."
APPLE = "It is a document of Apple's Pages, Numbers or Keynote; export it as PDF or in an office format."
LINK = (
    "It is only a link to a document at Google, and nothing of that is in it; download it there in an office format or as "
    "PDF."
)
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
    b"SQLite format 3\0": "It is a database; export its tables as CSV.",
    b"!BDN": "It is a mailbox as Outlook keeps it; export its mails as .eml or .mbox.",
    b"8BPS": PICTURE,
    b"AT&TFORM": "Its pages are pictures (DjVu); save it as PDF with its text.",
    b"#!AMR": SOUND,
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": SOUND,
    b"Rar!": "It is a RAR archive; pack it as .zip.",
    b"7z\xbc\xaf": "It is a 7z archive; pack it as .zip.",
    b"\x1f\x8b": "It is packed with gzip; add what is in it, or pack it as .zip.",
    b"\xfd7zXZ\0": PACKED,
    b"\x28\xb5\x2f\xfd": PACKED,
}
_NOT_READ_WITH_ZEROS = (
    (0, b"ID3", SOUND),
    *((0, bytes((0xFF, layer)), SOUND) for layer in (0xF2, 0xF3, 0xFA, 0xFB)),
    *((0, b"\0\0\1" + kind, SOUND) for kind in (b"\xb3", b"\xba")),
    (0, b"FLV\1", SOUND),
    (0, b"OggS", SOUND),
    (0, b"fLaC", SOUND),
    (0, b"BZh", PACKED),
    *((8, brand, PICTURE) for brand in (b"heic", b"heix", b"mif1", b"avif", b"WEBP")),
    (0, b"BM", PICTURE),
    (0, b"\0\0\1\0", PICTURE),
    (0, b"\xff\x0a", PICTURE),
    (4, b"jP  ", PICTURE),
    *((0, font, FONT) for font in (b"\0\1\0\0\0", b"OTTO", b"wOFF", b"wOF2")),
    *((0, code, PROGRAM) for code in (b"\0asm", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe")),
    (2, b"\r\n\0\0\0\0", PROGRAM),
    (60, b"BOOKMOBI", KINDLE),
    (4, b"ftyp", SOUND),
    (8, b"AVI ", SOUND),
    (8, b"WAVE", SOUND),
    (257, b"ustar", PACKED),
)
"""What letters say, which a text may begin with too, but no text has zeros: from which byte on, what, and the
sentence."""

_PROGRAMS = {
    ".pub": "Publisher",
    ".vsd": "Visio",
    ".vsdx": "Visio",
    ".mpp": "Project",
    ".one": "OneNote",
    ".wps": "Works or WPS",
    ".wpd": "WordPerfect",
    ".hwp": "Hancom",
    ".hwpx": "Hancom",
    ".xps": "the XPS viewer",
    ".oxps": "the XPS viewer",
    ".indd": "InDesign",
    ".dwg": "AutoCAD",
    ".xmind": "XMind",
    ".mdb": "Access",
    ".accdb": "Access",
    ".webarchive": "Safari",
}
_LINKS = frozenset({".gdoc", ".gsheet", ".gslides", ".gdraw", ".gform"})
_APPLE_PARTS = (".iwa", "Index.zip", "index.xml.gz", "index.apxl.gz")


def say_of_name(name: str) -> str:
    """Say what a file is that is no text, by the ending of its name; empty where that is not known."""
    ending = PurePosixPath(name).suffix.lower()
    if ending in (".pages", ".numbers"):
        return APPLE
    if ending in (".azw", ".azw3", ".kfx", ".mobi"):
        return KINDLE
    program = _PROGRAMS.get(ending)
    return (
        f"It is a document of {program}; save it there as PDF or in an office format."
        if program
        else ""
    )


def say_of_link(name: str, head: bytes) -> str:
    """Say that a file only leads to a document elsewhere, as a synchronised folder has them; empty where it does not."""
    is_link = PurePosixPath(name).suffix.lower() in _LINKS and head.lstrip().startswith(b"{")
    return LINK if is_link else ""


def say_of_package(name: str, parts: Iterable[str]) -> str:
    """Say what a packed document is that is not read."""
    is_apple = any(part.endswith(_APPLE_PARTS) for part in parts)
    return APPLE if is_apple else say_of_name(name) or OTHER_PACKAGE


def say_of_streams(name: str) -> str:
    """Say what a document is that is built as those of Office before 2007."""
    known = {".msi": PROGRAM, ".msg": OUTLOOK}.get(PurePosixPath(name).suffix.lower())
    return known or say_of_name(name) or OLDER_OFFICE


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
