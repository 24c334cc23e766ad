"""Files of programs that are not read: each is called what it is, and what to do is said."""

from __future__ import annotations

import pytest

from engines.exceptions import InvalidRequestError
from engines.reading.dispatch import read_content
from engines.reading.refusals import NO_TEXTS
from engines.reading.result import MARKDOWN, Source
from engines.reading.text import NOT_TEXT
from tests.reading.made import pack

STREAMS = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
NOISE = bytes(range(256)) * 4
OF_PROGRAMS = {
    "flyer.pub": (STREAMS, "Publisher"),
    "plan.vsd": (STREAMS, "Visio"),
    "plan.vsdx": (pack({"visio/document.xml": "<x/>"}), "Visio"),
    "plan.mpp": (STREAMS, "Project"),
    "notes.one": (bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + bytes(200), "OneNote"),
    "old.wps": (STREAMS, "Works"),
    "old.wpd": (b"\xffWPC" + NOISE, "WordPerfect"),
    "a.hwp": (STREAMS, "Hancom"),
    "a.xps": (pack({"FixedDocumentSequence.fdseq": "<x/>"}), "XPS"),
    "page.webarchive": (b"bplist00" + NOISE, "Safari"),
    "new.pages": (pack({"Index/Document.iwa": "x"}), "Pages, Numbers or Keynote"),
    "old.key": (pack({"index.apxl.gz": "x"}), "Pages, Numbers or Keynote"),
    "old.pages": (pack({"index.xml.gz": "x"}), "Pages, Numbers or Keynote"),
    "book.mobi": (bytes(60) + b"BOOKMOBI" + bytes(100), "convert it to EPUB"),
    "book.kfx": (b"\xeaDRMION\xee" + NOISE, "convert it to EPUB"),
    "scan.djvu": (b"AT&TFORM" + NOISE, "DjVu"),
    "data.sqlite": (b"SQLite format 3\0" + bytes(100), "export its tables"),
    "mails.pst": (b"!BDN" + bytes(500), "export its mails"),
    "Plan.gdoc": (b'{"url": "https://docs.google.com/open?id=1"}', "only a link"),
    "Costs.gsheet": (b'{"doc_id": "1"}', "only a link"),
    "old.doc": (STREAMS, "before 2007"),
    "letter.msg": (STREAMS, "Outlook"),
    "other.xyz": (NOISE, NOT_TEXT),
}
WITHOUT_TEXT = {
    "a.pyc": b"\xa7\r\r\n" + bytes(12) + b"\xe3",
    "A.class": b"\xca\xfe\xba\xbe\0\0\0\x34",
    "a.wasm": b"\0asm\1\0\0\0",
    "a.msi": STREAMS,
    "a.ttf": b"\0\1\0\0\0\x10" + bytes(50),
    "a.woff2": b"wOF2\0\1\0\0" + bytes(50),
    "a.ico": b"\0\0\1\0\1\0" + bytes(50),
    "a.psd": b"8BPS\0\1" + bytes(50),
    "a.jp2": b"\0\0\0\x0cjP  \r\n" + bytes(50),
    "a.mp3": b"\xff\xfb\x90\x64" + bytes(50),
    "a.mpg": b"\0\0\1\xba" + bytes(50),
    "a.wma": bytes.fromhex("3026b2758e66cf11") + bytes(50),
}


@pytest.mark.parametrize("name", OF_PROGRAMS)
def test_a_document_of_a_program_that_is_not_read_is_called_so(name: str) -> None:
    content, words = OF_PROGRAMS[name]

    with pytest.raises(InvalidRequestError) as refused:
        read_content(Source(name, content))

    assert words in str(refused.value)


@pytest.mark.parametrize("name", WITHOUT_TEXT)
def test_what_holds_no_text_is_not_missed_in_a_folder(name: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read_content(Source(name, WITHOUT_TEXT[name]))

    assert str(refused.value) in NO_TEXTS


@pytest.mark.parametrize(
    ("name", "text"),
    [("id.pub", "ssh-ed25519 AAAA ada"), ("a.key", "-----BEGIN KEY-----"), ("a.one", "one")],
)
def test_a_text_is_read_whatever_its_name(name: str, text: str) -> None:
    assert read_content(Source(name, text.encode())).text == text


def test_markdown_of_programs_for_reports_is_markdown() -> None:
    assert read_content(Source("a.qmd", b"# Roof\n\n```{r}\n1 + 1\n```")).media_type == MARKDOWN


def test_a_catalog_of_translations_says_its_encoding() -> None:
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=koi8-r\\n"\n\nmsgid "yes"\n'
    text = f'{head}msgstr "да"'

    found = read_content(Source("ru.po", text.encode("koi8_r")))

    assert (found.text, found.note) == (text, "")
