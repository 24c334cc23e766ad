"""PDFs as programs write them: words and numbers over two lines, attached files, pages that are pictures."""

from __future__ import annotations

from engines.reading.dispatch import read_content
from engines.reading.result import Reading, Source
from tests.reading import made

FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
KIDS = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"


def page(contents: int, resources: str) -> str:
    return f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {contents} 0 R /Resources << {resources} >> >>"


def read_pdf(*objects: str) -> Reading:
    return read_content(Source("a.pdf", made.assemble_pdf(objects)))


def read_lines(*lines: str) -> str:
    shown = "".join(
        f"BT /F1 12 Tf 72 {700 - 14 * n} Td ({line}) Tj ET\n" for n, line in enumerate(lines)
    )
    return read_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        KIDS,
        page(4, "/Font << /F1 5 0 R >>"),
        made.pdf_stream(shown),
        FONT,
    ).text


def test_a_divided_word_is_joined_and_the_hyphen_of_a_number_or_a_name_stays() -> None:
    text = read_lines("The Donaudampfschiff-", "fahrt of AB-", "1234/5 to Mainz-", "Kastel ends.")

    assert text == "The Donaudampfschifffahrt of AB-1234/5 to Mainz-Kastel ends."


def test_what_is_attached_is_read_and_what_of_it_cannot_be_is_said() -> None:
    files = [("notes.txt", "Bring the ladder."), ("run.exe", "MZ\x90")]
    names = " ".join(f"({name}) {6 + 2 * n} 0 R" for n, (name, _) in enumerate(files))
    attached = []
    for number, (name, content) in enumerate(files):
        attached.append(
            f"<< /Type /Filespec /F ({name}) /UF ({name}) /EF << /F {7 + 2 * number} 0 R >> >>"
        )
        attached.append(made.pdf_stream(content).replace("<< ", "<< /Type /EmbeddedFile ", 1))

    found = read_pdf(
        f"<< /Type /Catalog /Pages 2 0 R /Names << /EmbeddedFiles << /Names [{names}] >> >> >>",
        KIDS, page(4, "/Font << /F1 5 0 R >>"), made.pdf_stream("BT /F1 12 Tf 72 700 Td (See below.) Tj ET"), FONT,
        *attached,
    )  # fmt: skip

    assert found.text == (
        "See below.\n\nAttached: notes.txt\n\nBring the ladder.\n\n"
        "Attached: run.exe (not read: It is a program, not a text.)"
    )
    assert [place for _, place in found.places] == ["page 1", "attached notes.txt"]


def test_pages_that_are_pictures_among_others_are_named() -> None:
    picture = (
        "<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 "
        + made.pdf_stream("x").removeprefix("<< ")
    )

    found = read_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        KIDS.replace("[3 0 R] /Count 1", "[3 0 R 6 0 R 9 0 R] /Count 3"),
        page(4, "/Font << /F1 5 0 R >>"), made.pdf_stream("BT /F1 12 Tf 72 700 Td (Typed.) Tj ET"), FONT,
        page(7, "/XObject << /X 8 0 R >>"), made.pdf_stream("500 0 0 500 50 50 cm /X Do"), picture,
        page(10, ""), made.pdf_stream(""),
    )  # fmt: skip

    assert found.text == "Typed."
    assert "page 2;" in found.note
    assert "OCR" in found.note


def test_a_text_that_speaks_of_pdf_is_a_text() -> None:
    about = "A file of this kind begins with %PDF-1.7 in its first line.\n"

    assert read_content(Source("about.md", about.encode())).text == about
    behind = b"HTTP/1.1 200 OK\r\n\r\n" + made.pdf(["Seen"])
    assert read_content(Source("a.pdf", behind)).text == "Seen"


def test_what_was_typed_and_left_to_the_reader_to_draw_is_read() -> None:
    typed = [
        "/Subtype /FreeText /Contents (on the page)",
        "/Subtype /Widget /FT /Tx /V <FEFF00660069006C006C00E90064>",
        "/Subtype /Widget /FT /Tx /V (not shown) /F 2",
        "/Subtype /Widget /FT /Btn /V /Off",
        "/Subtype /Text /Contents (a comment)",
    ]
    listed = " ".join(f"{6 + n} 0 R" for n in range(len(typed)))

    found = read_pdf(
        "<< /Type /Catalog /Pages 2 0 R >>",
        KIDS,
        page(4, "/Font << /F1 5 0 R >>").replace("/Contents", f"/Annots [{listed}] /Contents"),
        made.pdf_stream("BT /F1 12 Tf 72 700 Td (Seen) Tj ET"),
        FONT,
        *(f"<< /Type /Annot /Rect [72 500 300 540] {more} >>" for more in typed),
    )

    assert found.text == "Seen\non the page\nfilléd"


def name_pages(labels: str) -> list[str]:
    """Return the names of the pages of a PDF of four."""
    numbers = range(4)
    kids = " ".join(f"{4 + number} 0 R" for number in numbers)
    found = read_pdf(
        f"<< /Type /Catalog /Pages 2 0 R {labels} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count 4 >>",
        FONT,
        *(page(8, "/Font << /F1 3 0 R >>") for _ in numbers),
        made.pdf_stream("BT /F1 12 Tf 72 700 Td (The roof.) Tj ET"),
    )
    return [name for _, name in found.places]


def test_a_page_is_called_as_it_is_printed_and_as_it_is_counted() -> None:
    front = "0 << /S /r >> 2 << /S /D /St 1 >> 3 << /P (A-) /S /D /St 7 >>"
    long = f"1 << /P ({'x' * 200}) >>"
    hostile = f"0 << /P (a\\)(b)) >> {long} 2 << /S /D /St 3 >> 3 << /P () >>"

    printed = ["page i (1 of 4)", "page ii (2 of 4)", "page 1 (3 of 4)", "page A-7 (4 of 4)"]
    assert name_pages(f"/PageLabels << /Nums [{front}] >>") == printed
    assert name_pages("") == ["page 1", "page 2", "page 3", "page 4"]
    assert name_pages(f"/PageLabels << /Nums [{hostile}] >>") == name_pages("")
