"""The rows of tables say what they mean in every kind of file: a long table is cut, and its first row is far away then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from engines.reading.dispatch import read_content
from engines.reading.result import Source
from tests.reading import made

Rows = Sequence[Sequence[str]]
PRICES = [["Part", "Cost"], ["A", "5"], ["B", "7"]]
PEOPLE = [["Name", "Town", "Since"], ["Ada", "Bonn", "May"], ["Bob", "Kiel", "June"]]
YEARS = [["", "2024", "2025"], ["Sales", "5", "6"], ["Costs", "7", "8"]]
FORM = [["Name", "Ada"], ["Street", "Main 5"], ["Town", "Bonn"]]
NUMBERS = [["1", "2", "3"], ["4", "5", "6"]]
UNEVEN = [["Name", "Town", "Since"], ["a note over all columns"]]


def word(rows: Rows, look: str) -> bytes:
    body = "".join(
        f"<w:tr>{''.join(f'<w:tc>{made.paragraph(cell)}</w:tc>' for cell in row)}</w:tr>"
        for row in rows
    )
    return made.docx(f"<w:tbl><w:tblPr><w:tblLook {look}/></w:tblPr>{body}</w:tbl>")


def slides(rows: Rows, look: str) -> bytes:
    cell = "<a:tc><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>"
    body = "".join(f"<a:tr>{''.join(map(cell.format, row))}</a:tr>" for row in rows)
    return made.pptx(("T", ""), drawn=f"<a:tbl><a:tblPr {look}/>{body}</a:tbl>")


def open_text(rows: Rows, look: str) -> bytes:
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    body = [f"<table:table-row>{''.join(map(cell.format, row))}</table:table-row>" for row in rows]
    if look == "header":
        body[0] = f"<table:table-header-rows>{body[0]}</table:table-header-rows>"
        return made.odt(f"<table:table>{''.join(body)}</table:table>")
    return made.odt(f"<table:table {look}>{''.join(body)}</table:table>")


def page(rows: Rows, tag: str) -> bytes:
    first, *others = (f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><{tag}>{first}</{tag}><tbody>{''.join(others)}</tbody></table>".encode()


DRAWN: dict[str, tuple[str, Callable[[Rows, str], bytes], str]] = {
    "word": ("a.docx", word, 'w:firstRow="1"'),
    "word as it was": ("a.docx", word, 'w:val="04A0"'),
    "slides": ("a.pptx", slides, 'firstRow="1"'),
    "slides of open document": ("a.odt", open_text, 'table:use-first-row-styles="true"'),
}


def read(kind: str, rows: Rows) -> str:
    name, make, look = DRAWN[kind]
    return read_content(Source(name, make(rows, look))).text.removeprefix("# T\n\n")


@pytest.mark.parametrize("kind", DRAWN)
def test_rows_have_the_names_of_their_columns_where_the_first_row_is_drawn_so(kind: str) -> None:
    assert read(kind, PRICES).split("\n")[1:] == ["Part: A; Cost: 5", "Part: B; Cost: 7"]
    assert read(kind, PEOPLE).split("\n")[2] == "Name: Bob; Town: Kiel; Since: June"
    assert read(kind, YEARS).split("\n")[2] == "Costs; 2024: 7; 2025: 8"


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("rows", [FORM, NUMBERS, UNEVEN], ids=["form", "numbers", "uneven"])
def test_forms_and_numbers_have_none(kind: str, rows: Rows) -> None:
    assert read(kind, rows).split("\n") == [" | ".join(row) for row in rows]


@pytest.mark.parametrize("look", ['w:firstRow="0"', 'w:val="0480"', 'w:val="+0A0"', ""])
def test_a_table_of_word_that_is_not_drawn_so_has_none(look: str) -> None:
    assert "Part:" not in read_content(Source("a.docx", word(PRICES, look))).text


def test_what_a_file_says_itself_counts_for_forms_too() -> None:
    by_text = read_content(Source("a.odt", open_text(FORM, "header"))).text
    by_page = read_content(Source("a.html", page(FORM, "thead"))).text

    assert by_text == by_page == "Name | Ada\nName: Street; Ada: Main 5\nName: Town; Ada: Bonn"
    assert "Part:" not in read_content(Source("a.html", page(PRICES, "tbody"))).text
