"""A file's own word for its encoding counts, as browsers and mail programs take it; bytes that prove it wrong count more."""

from __future__ import annotations

import pytest

from engines.reading.dispatch import read_content
from engines.reading.result import Source
from engines.reading.text import decode_text

PAGES = {
    "x-sjis": ('<meta charset="x-sjis">', "cp932", "町の図書館"),
    "windows-874": ("<meta charset=windows-874>", "cp874", "ห้องสมุด"),
    "iso-8859-8-i": ("<meta charset=iso-8859-8-i>", "iso8859-8", "שלום עולם"),
    "x-mac-roman": ("<meta charset=x-mac-roman>", "mac-roman", "Größe"),
    "in its xml": ('<?xml version="1.0" encoding="koi8-r"?><html>', "koi8-r", "Привет"),
    "by its type": ('<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', "koi8-r", "Привет"),
    "commented out": ("<!-- <meta charset=koi8-r> --><meta charset=utf-8>", "utf-8", "Größe"),
    "only described": ('<meta name="description" content="charset=koi8-r is old">', "utf-8", "Größe"),
    "no encoding": ("<meta charset=punycode>", "utf-8", "Größe"),
    "of code": ("<meta charset=unicode_escape>", "utf-8", r"a\u0041"),
    "wrong by default": ("<meta charset=iso-8859-1>", "utf-8", "Größe"),
    "one byte wrong": ("<meta charset=koi8-r>", "koi8-r", "Привет"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_in_the_encoding_that_it_names(name: str) -> None:
    head, encoding, words = PAGES[name]

    assert read_content(Source("a.html", f"{head}<p>{words}".encode(encoding))).text == words


def test_few_wrong_bytes_do_not_make_a_page_of_another_encoding() -> None:
    page = b"<meta charset=euc-jp><p>" + ("町の図書館" * 40).encode("euc_jp") + b"\xff"

    assert read_content(Source("a.html", page)).text == "町の図書館" * 40 + "\ufffd"


TEXTS = {
    "xml": '<?xml version="1.0" encoding="iso-8859-2"?>\n<t>Zażółć gęślą jaźń</t>'.encode("iso8859-2"),
    "python": "#!/usr/bin/python\n# -*- coding: koi8-r -*-\ns = 'Привет'\n".encode("koi8-r"),
    "japanese mails": "町の図書館は毎週水曜日に休みます。".encode("iso2022_jp"),
    "korean mails": "도서관은 월요일".encode("iso2022_kr"),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_says_its_encoding_is_not_guessed(name: str) -> None:
    decoded = decode_text(TEXTS[name])

    assert decoded.guessed == ""
    assert any(words in decoded.text for words in ("gęślą", "Привет", "水曜日", "월요일"))


def test_signs_of_nec_in_japanese_mails_are_read() -> None:
    # ① and ㈱, which the standard does not have and every mail program writes.
    content = "町の図書館".encode("iso2022_jp").removesuffix(b"\x1b(B") + b"\x2d\x21\x2d\x6a\x1b(B"

    assert decode_text(content).text == "町の図書館①㈱"


def test_hungarian_is_not_read_as_western() -> None:
    words = "Árvíztűrő tükörfúrógép. A könyvtár szerdán zárva tart."

    assert decode_text(words.encode("cp1250"))[:2] == (words, "cp1250")


def test_a_text_in_utf_8_that_is_cut_or_has_few_wrong_bytes_stays_one() -> None:
    words = "町の図書館は毎週水曜日に休みます。" * 20

    assert decode_text(words.encode()[:-1]).text == words[:-1] + "\ufffd"
    assert decode_text("Größe und Maß".encode() + b"\xc3").text == "Größe und Maß\ufffd"
    assert decode_text(words.encode() + b"\xff\n").text == f"{words}\ufffd\n"
    page = b"<meta charset=utf-8><p>" + words.encode() + b"\xff</p>"
    assert read_content(Source("a.html", page)).text == f"{words}\ufffd"
    assert decode_text("Größe und Maß".encode("cp1252")).text == "Größe und Maß"
