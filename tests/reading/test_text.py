"""What the bytes of a text mean, and which names a document may have."""

from __future__ import annotations

import codecs

import pytest

from engines.exceptions import InvalidRequestError, UnsafeNameError
from engines.reading.dispatch import read_content
from engines.reading.names import clean_path
from engines.reading.result import Source
from engines.reading.text import decode_text

GERMAN = "Das Café öffnet um neun – „pünktlich“."
ENCODED = {
    "utf-8": (GERMAN.encode(), GERMAN, ""),
    "with a mark": (codecs.BOM_UTF8 + GERMAN.encode(), GERMAN, ""),
    "utf-16 with a mark": (GERMAN.encode("utf-16"), GERMAN, ""),
    "utf-32 with a mark": (GERMAN.encode("utf-32"), GERMAN, ""),
    "utf-16 without": (GERMAN.encode("utf-16-le"), GERMAN, "utf-16-le"),
    "big ends first": (GERMAN.encode("utf-16-be"), GERMAN, "utf-16-be"),
    "ascii in utf-16": ("plain words".encode("utf-16-le"), "plain words", "utf-16-le"),
    "windows-1252": (GERMAN.encode("cp1252"), GERMAN, "cp1252"),
    "latin-1": ("Größe".encode("latin-1"), "Größe", "cp1252"),
    "cyrillic": (
        "Сегодня хорошая погода, и мы пойдём гулять в парк.".encode("cp1251"),
        "Сегодня хорошая погода, и мы пойдём гулять в парк.",
        "cp1251",
    ),
    "chinese": (
        "今天天气很好，我们去公园散步吧。".encode("gb18030"),
        "今天天气很好，我们去公园散步吧。",
        "gb18030",
    ),
    **{
        f"{name} in utf-16 without a mark": (text.encode(encoding), text, encoding)
        for name, text, encoding in (
            ("chinese", "今天天气很好，我们去公园散步吧。", "utf-16-le"),
            ("chinese, big ends first", "今天天气很好，我们去公园散步吧。", "utf-16-be"),
            ("thai", "ห้องสมุดประชาชนปิดทุกวันจันทร์", "utf-16-le"),
            ("russian", "Поезд отправляется в шесть.", "utf-16-be"),
            ("japanese", "町の図書館は毎週水曜日に休みます。", "utf-16-le"),
            ("korean", "시립 도서관은 매주 월요일에 문을 닫습니다.", "utf-16-le"),
            ("arabic", "تفتح المكتبة العامة أبوابها", "utf-16-le"),
            ("hindi", "पुस्तकालय रविवार को बंद रहता है।", "utf-16-be"),
        )
    },
    "japanese of older systems": (
        "町の図書館は毎週水曜日に休みます。長野行きの電車は七時に出発します。".encode("cp932"),
        "町の図書館は毎週水曜日に休みます。長野行きの電車は七時に出発します。",
        "cp932",
    ),
    "a mark within is a character": ("a\ufeffb".encode(), "a\ufeffb", ""),
    "old macs": (b"a\rb\r\rc", "a\nb\n\nc", ""),
    "utf-16 of windows": ("a\r\nb".encode("utf-16"), "a\nb", ""),
    "a page's end stays": (b"a\fb", "a\fb", ""),
    "parts of a syllable": ("\u1112\u1161\u11ab".encode(), "한", ""),
    "a ligature is no two letters": ("ﬁn".encode(), "ﬁn", ""),
    "joiners and soft hyphens stay": (
        "می\u200cخواهم so\u00adft".encode(),
        "می\u200cخواهم so\u00adft",
        "",
    ),
    "nothing": (b"", "", ""),
    "typewriters": (b"a\r\nb\rc\n", "a\nb\nc\n", ""),
    "colours of a log": (b"\x1b[1;31mERROR\x1b[0m\x1b(B failed", "ERROR failed", ""),
    "composed": ("cafe\u0301".encode(), "café", ""),
}


@pytest.mark.parametrize("kind", ENCODED)
def test_bytes_become_a_text(kind: str) -> None:
    content, text, guessed = ENCODED[kind]

    assert decode_text(content)[:2] == (text, guessed)


def test_a_calendar_has_whole_words() -> None:
    content = b"BEGIN:VEVENT\r\nSUMMARY:The roof is repa\r\n ired\r\nEND:VEVENT\r\n"

    text = read_content(Source("a.ics", content)).text

    assert text == "BEGIN:VEVENT\nSUMMARY:The roof is repaired\nEND:VEVENT\n"


def test_an_address_book_of_older_phones_has_its_names() -> None:
    content = (
        b"BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=\r\n=B6rg\r\n"
        b"ADR;CHARSET=ISO-8859-1;QUOTED-PRINTABLE:Stra=DFe 5\r\nNOTE:a=C3=BC\r\n"
        b"LABEL;QUOTED-PRINTABLE:one=0D=0Atwo=00\r\n"
    )

    text = read_content(Source("a.vcf", content)).text

    assert "QUOTED-PRINTABLE:Müller;Jörg\n" in text
    assert "QUOTED-PRINTABLE:Straße 5\nNOTE:a=C3=BC\n" in text
    assert "LABEL;QUOTED-PRINTABLE:one\ntwo\n" in text


@pytest.mark.parametrize("content", [bytes(range(256)), b"a\0b\0\0c", codecs.BOM_UTF16_LE + b"a"])
def test_what_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequestError, match=r"no text either|damaged further on"):
        decode_text(content)


@pytest.mark.parametrize(
    "name",
    ["a b.md", "a\u00a0b.md", "a\u3000b.md", "می\u200cخواهم.md", "👩\u200d🔬.md", "so\u00adft.md", "5\u202fkg.md",
     "-list.md", "x/\u200f\u05d0.md", "e\u0301.md"],
)  # fmt: skip
def test_blanks_joiners_and_emoji_are_letters_of_a_name(name: str) -> None:
    assert clean_path(name) == name.replace("e\u0301", "é")


@pytest.mark.parametrize(
    "name",
    ["", "/etc", "a//b", "../up", "a/./b", ".git/x", "a\\b", "a\nb", "a\u202etxt.exe", "a\u2028b", "é" * 600,
     "\u00a0/a", "a\ud800"],
)  # fmt: skip
def test_names_that_lead_elsewhere_or_hide_are_refused(name: str) -> None:
    with pytest.raises(UnsafeNameError):
        clean_path(name)
