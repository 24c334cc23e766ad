"""Mails as the programs of people write them: what their readers see is read, whatever they say of their encoding."""

from __future__ import annotations

import base64

import pytest

from engines.reading.dispatch import read_content
from engines.reading.result import Source
from tests.reading import made
from tests.reading.made import PAYLOAD

PLAIN = "Subject: x\nContent-Type: text/plain; charset={}\n\n"


def read_mail(content: bytes | str, name: str = "a.eml") -> str:
    return read_content(
        Source(name, content if isinstance(content, bytes) else content.encode())
    ).text


WORDS = {
    "gb2312": ("图书馆镕€", "gb18030"),
    "iso-8859-1": ("“quoted” – 5 €", "cp1252"),
    "us-ascii": ("Größe", "utf-8"),
    "ks_c_5601-1987": ("똠방각하", "cp949"),
    "nonsense": ("Größe", "cp1252"),
}


@pytest.mark.parametrize("named", WORDS)
def test_a_mail_is_read_in_what_its_encoding_is_taken_for(named: str) -> None:
    words, encoding = WORDS[named]

    assert read_mail(PLAIN.format(named).encode() + words.encode(encoding)) == f"# x\n\n{words}"


def test_bytes_that_are_no_text_take_no_other_words_of_the_mail_along() -> None:
    mail = made.mail_of_parts(
        "mixed",
        "Content-Type: text/plain\n\nseen\n",
        "Content-Type: text/plain; charset=x-none\n\n@@\n",
    )

    text = read_mail(f"Subject: Roof\n{mail}".encode().replace(b"@@", b"a\0\xff\xfe\x81"))

    assert "# Roof" in text
    assert "seen" in text


def test_paragraphs_that_flow_are_whole() -> None:
    head = "Subject: x\nContent-Type: text/plain; format=flowed{}; charset=utf-8\n\n"

    flowed = read_mail(
        head.format("")
        + "A long \nparagraph \nends.\n> quoted \n> too\nnew\n-- \nAda\n From here\n"
    )
    tight = read_mail(head.format("; delsp=yes") + "町の \n図書館\n")

    assert flowed == "# x\n\nA long paragraph ends.\n> quoted too\nnew\n-- \nAda\nFrom here"
    assert tight == "# x\n\n町の図書館"


def test_what_an_attached_text_is_said_to_be_in_counts() -> None:
    part = "Content-Type: text/plain; charset=koi8-r\nContent-Disposition: attachment; filename=a.txt\n\nПривет\n"
    mail = f"Subject: x\n{made.mail_of_parts('mixed', part)}".encode("koi8-r")

    assert read_mail(mail).startswith("# x\n\n## a.txt\n\nПривет")


def test_a_plain_form_that_only_says_there_is_html_gives_way_to_it() -> None:
    def read_forms(plain: str, page: str) -> str:
        forms = (f"Content-Type: text/plain\n\n{plain}\n", f"Content-Type: text/html\n\n{page}\n")
        return read_mail(f"Subject: x\n{made.mail_of_parts('alternative', *forms)}")

    assert PAYLOAD in read_forms("Your program shows no HTML.", f"<p>{PAYLOAD * 5}</p>")
    assert read_forms("Yes, at nine.", "<p>Yes, at <b>nine</b>.</p>") == "# x\n\nYes, at nine."


def test_a_mail_that_is_enclosed_in_base64_is_read() -> None:
    coded = base64.b64encode(f"Subject: Inner\n\n{PAYLOAD}\n".encode()).decode()
    part = f"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{coded}\n"

    text = read_mail(f"Subject: x\n{made.mail_of_parts('mixed', part)}")

    assert text.endswith(f"# Inner\n\n{PAYLOAD}")


SEALED = {
    "smime.p7m": (b"0\x82\x01\0" + bytes(range(256)), "S/MIME"),
    "encrypted.asc": (b"-----BEGIN PGP MESSAGE-----\n\nhQEMA\n", "encrypted with PGP"),
    "winmail.dat": (b"\x78\x9f\x3e\x22" + bytes(200), "winmail.dat"),
}


@pytest.mark.parametrize("name", SEALED)
def test_what_is_sealed_is_said(name: str) -> None:
    content, words = SEALED[name]

    text = read_mail(made.mail("x", (name, content)))

    assert f"Attached: {name} (not read: " in text
    assert words in text


def test_a_saved_page_is_read_without_its_looks_and_pictures() -> None:
    """Browsers save them beside it; Confluence and Office write such a page under their own ending."""
    parts = made.mail_of_parts(
        "related",
        f"Content-Type: text/html\nContent-Location: https://example.org/x\n\n<h1>Roof</h1><p>{PAYLOAD}</p>\n",
        "Content-Type: text/css\nContent-Location: cid:css\n\n.x { color: red }\n",
        "Content-Type: image/png\nContent-Location: https://example.org/a.png\n\nPNG\n",
    )
    page = f"Subject: Saved\n{parts}"

    for name in ("a.mht", "Exported.doc"):
        assert read_mail(page, name) == f"# Saved\n\n# Roof\n\n{PAYLOAD}"


def test_what_is_said_beside_an_attached_file_is_said_beside_the_mail() -> None:
    content = "Größe;Preis\nklein;5\n".encode("cp1252")

    found = read_content(Source("a.eml", made.mail("x", ("a.csv", content))))

    assert (
        found.note == "attached a.csv: It does not say its encoding; it was read as windows-1252."
    )


def test_a_file_that_is_shown_within_the_form_that_is_not_is_read() -> None:
    """As Apple's program sends what was dragged into a mail."""
    page = made.mail_of_parts(
        "mixed",
        "Content-Type: text/html\n\n<p>See the list.</p>\n",
        "Content-Type: text/csv; name=list.csv\nContent-Disposition: inline; filename=list.csv\n\nPart,Cost\nRoof,5\n",
        "Content-Type: image/png; name=logo.png\nContent-Disposition: inline; filename=logo.png\n\nPNG\n",
    )
    forms = made.mail_of_parts("alternative", "Content-Type: text/plain\n\nSee the list.\n", page)

    assert (
        read_mail(f"Subject: x\n{forms}")
        == "# x\n\nSee the list.\n\n## list.csv\n\nPart: Roof; Cost: 5"
    )


@pytest.mark.parametrize("address", ["ada@", "Ada <", '"', "Ada <ada@["])
def test_an_address_that_is_cut_is_read_as_it_stands(address: str) -> None:
    found = read_content(Source("a.eml", f"Subject: Roof\nFrom: {address}\n\nwords".encode()))

    assert found.text == f"# Roof\n\nFrom: {address}\n\nwords"


def test_a_mail_is_read_although_a_damaged_document_is_attached() -> None:
    document = made.docx(made.paragraph("x"), more={"word/styles.xml": "<w:styles"})
    odd = made.docx(
        "<w:p><w:pPr><w:numPr><w:ilvl/></w:numPr></w:pPr></w:p>", more={"[Content_Types].xml": "<x"}
    )

    found = read_content(Source("a.eml", made.mail("seen", ("a.docx", document), ("b.docx", odd))))

    assert "seen" in found.text
    assert found.text.count("not read: It is damaged") == 2


def test_a_mail_to_very_many_people_is_read_in_time_that_grows_with_their_number() -> None:
    people = ",\n ".join(
        f"=?utf-8?q?J=C3=BCr?=\n =?utf-8?q?gen?= <p{number}@example.org>"
        for number in range(20_000)
    )
    kinds = f"text/plain; {'a=b; ' * 200_000}"
    raw = f"Subject: Hello\nTo: {people}\nContent-Type: {kinds}\n\nThe roof.\n"

    text = read_content(Source("a.eml", raw.encode())).text

    assert "Jürgen <p0@example.org>, Jürgen <p1@example.org>, " in text
    assert text.endswith("Jürgen <p19999@example.org>\n\nThe roof.")


def test_a_mail_whose_subject_is_in_no_encoding_is_read() -> None:
    text = read_mail(b"From: a@example.org\nSubject: \x81\x8d\xff\xfe\x01\n\nThe roof.\n")

    assert text.endswith("From: a@example.org\n\nThe roof.")


def test_a_header_of_many_people_says_their_names_as_they_are() -> None:
    def read_to(*names: str) -> str:
        people = ",\n ".join(f"{name} <a@example.org>" for name in names * 300)
        return read_mail(f"To: {people}\nSubject: x\n\nHello\n")

    assert read_to("Jürgen Groß").startswith("# x\n\nTo: Jürgen Groß <a@example.org>, Jürgen")
    assert '"Jürgen Groß" <' in read_to('"=?utf-8?Q?J=C3=BCrgen_Gro=C3=9F?="')
    assert "ÜJürgen <" in read_to("Ü=?utf-8?Q?J=C3?=\n =?utf-8?Q?=BCrgen?=")
    assert "=?no-such?Q?x?=" not in read_to("=?no-such?Q?x?=")


def test_an_attached_mail_to_thousands_of_people_is_read() -> None:
    people = ", ".join(f"Jürgen Groß {n} <a{n}@example.org>" for n in range(20_000))
    inner = f"Content-Type: message/rfc822\n\nTo: {people}\nSubject: Inner\n\n{PAYLOAD}\n"

    text = read_mail(f"Subject: x\n{made.mail_of_parts('mixed', inner)}")

    assert "Jürgen Groß 19999" in text
    assert text.endswith(PAYLOAD)
