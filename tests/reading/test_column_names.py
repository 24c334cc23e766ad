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
LABELS = [["Name:", "Ada", "Room:", "B 12"], ["Post:", "Head", "Phone:", "555"]]
UNEVEN = [["Name", "Town", "Since"], ["a note over all columns"]]


BOLD = "<w:rPr><w:b/></w:rPr>"
STYLED = (
    f'<w:styles {made.W}><w:style w:type="table" w:styleId="Grid"/>'
    '<w:style w:type="table" w:styleId="Light"><w:basedOn w:val="Named"/></w:style>'
    '<w:style w:type="table" w:styleId="Named"><w:tblStylePr w:type="firstRow"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Head"><w:rPr><w:b/></w:rPr></w:style></w:styles>'
)


def word(rows: Rows, look: str, *, style: str = "", cell: str = "", first: str = BOLD) -> bytes:
    cells = "<w:tc>{look}<w:p>{cell}<w:r>{run}<w:t>{words}</w:t></w:r></w:p></w:tc>"
    fill, named = (cell, "") if "tcPr" in cell else ("", cell)
    body = "".join(
        "<w:tr>"
        + "".join(
            cells.format(
                look="" if at else fill,
                cell="" if at else named,
                run="" if at else first,
                words=words,
            )
            for words in row
        )
        + "</w:tr>"
        for at, row in enumerate(rows)
    )
    table = (
        f'<w:tbl><w:tblPr><w:tblStyle w:val="{style}"/><w:tblLook {look}/></w:tblPr>{body}</w:tbl>'
    )
    return made.docx(table, more={"word/styles.xml": STYLED})


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
@pytest.mark.parametrize(
    "rows", [FORM, LABELS, NUMBERS, UNEVEN], ids=["form", "labels", "numbers", "uneven"]
)
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


SHADED = '<w:tcPr><w:shd w:fill="DDDDDD"/></w:tcPr>'
NAMED = '<w:pPr><w:pStyle w:val="Head"/></w:pPr>'


@pytest.mark.parametrize(
    ("style", "cell", "first", "is_named"),
    [
        ("Grid", "", "", False),
        ("", "", "", False),
        ("Grid", "", BOLD, True),
        ("Grid", "", '<w:rPr><w:b w:val="0"/></w:rPr>', False),
        ("Grid", NAMED, "", True),
        ("Grid", SHADED, "", True),
        ("Light", "", "", True),
    ],
)
def test_the_first_row_of_word_is_one_of_names_where_it_looks_so(
    style: str, cell: str, first: str, is_named: bool
) -> None:
    """Word asks each new table to draw its first row otherwise, and the style it gives it does not."""
    table = word(PEOPLE, 'w:firstRow="1"', style=style, cell=cell, first=first)

    assert ("Name: Ada" in read_content(Source("a.docx", table)).text) == is_named


def test_cells_over_several_columns_stand_below_no_name_of_one() -> None:
    def read_table(*rows: str) -> str:
        table = f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
        return read_content(Source("a.html", table.encode())).text

    ages = "<th rowspan=2>Town<th colspan=2>Sold"
    total = "<td>Bonn<td>5<td>6"
    assert read_table(ages, "<th>May<th>June", total, "<td colspan=2>All<td>9") == (
        "Town | Sold\nMay | June\nBonn | 5 | 6\nAll | 9"
    )
    assert read_table("<th colspan=2>Name<th>Phone", "<td>Ada<td>12") == "Name | Phone\nAda | 12"
    assert read_table("<th>Name:<th>Ada", "<td>Phone:<td>12") == "Name: | Ada\nPhone: | 12"


def test_names_over_several_columns_stand_above_those_of_each() -> None:
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    covered = "<table:covered-table-cell/>"
    rows: list[list[str | None]] = [
        ["Town", "Sold", None],
        [None, "May", "June"],
        ["Bonn", "5", "6"],
    ]
    first, second, third = (
        f"<table:table-row>{''.join(covered if one is None else cell.format(one) for one in row)}</table:table-row>"
        for row in rows
    )
    table = f"<table:table><table:table-header-rows>{first}{second}</table:table-header-rows>{third}</table:table>"

    text = read_content(Source("a.odt", made.odt(table))).text

    assert text == "Town | Sold\nMay | June\nTown: Bonn; May: 5; June: 6"


def test_rows_behind_a_table_in_a_cell_keep_the_names_of_theirs() -> None:
    inner = "<table><tr><td>x<td>y</tr></table><table hidden><tr><td>z</tr></table>"
    page = f"<table><tr><th>Part<th>Note<tr><td>Roof<td>{inner}</td><tr><td>Door<td>dry</table>"

    assert read_content(Source("a.html", page.encode())).text.endswith("Part: Door; Note: dry")


def test_names_that_end_in_colons_have_one() -> None:
    text = read_content(Source("a.csv", b"Part:,Cost:\nRoof,5\n")).text

    assert text == "Part: Roof; Cost: 5"


LONG = f"Why {'so ' * 100}late?"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"{LONG},Cost\n" + "Roof,5\n" * 2),
        ("a.html", f"<table><tr><th>{LONG}<th>Cost" + "<tr><td>Roof<td>5" * 2),
    ],
)
def test_a_long_name_stands_in_full_once(name: str, content: str) -> None:
    """A question of a form with its explanation, as names: each row was that long, and a large table too long to read."""
    first, *rows = read_content(Source(name, content.encode())).text.split("\n")

    assert first == f"{LONG} | Cost"
    assert rows == [f"Why {'so ' * 64}so…: Roof; Cost: 5"] * 2


def test_columns_that_stand_there_several_times_have_their_name_each_time() -> None:
    """As Jira exports labels and comments: no column of such a table had a name."""
    issues = b"Summary,Key,Label,Label,Comment,Comment\nLeak,L-1,a,b,seen,mended\nDoor,L-2,c,,,\n"

    assert read_content(Source("a.csv", issues)).text.split("\n") == [
        "Summary: Leak; Key: L-1; Label: a; Label: b; Comment: seen; Comment: mended",
        "Summary: Door; Key: L-2; Label: c",
    ]
    assert read_content(Source("a.csv", b"yes,yes,no\nno,no,yes\n")).text.startswith("yes | yes")
