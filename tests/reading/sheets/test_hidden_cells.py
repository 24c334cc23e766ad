"""What somebody hid in a workbook is not found, and what a click shows is."""

from __future__ import annotations

import pytest

from engines.reading.dispatch import read_content
from engines.reading.result import Reading, Source
from tests.reading import made
from tests.reading.sheets.test_sheets import MANIFEST

LEFT_OUT = "Left out are hidden rows and columns of Budget"


def read_rows(*looks: str, around: str = "", columns: str = "") -> Reading:
    """Read a sheet with a row for each look of one; each names itself in two columns."""
    rows = "".join(
        f'<row r="{n}"{look}><c r="A{n}" t="inlineStr"><is><t>a{n}</t></is></c>'
        f'<c r="B{n}" t="inlineStr"><is><t>b{n}</t></is></c></row>'
        for n, look in enumerate(looks, 1)
    )
    sheet = f"<worksheet {made.S}>{columns}<sheetData>{rows}</sheetData>{around}</worksheet>"
    parts = made.unpack(made.xlsx([]))
    return read_content(Source("a.xlsx", made.pack({**parts, "xl/worksheets/sheet1.xml": sheet})))


def test_rows_and_columns_that_are_hidden_are_left_out_and_said() -> None:
    rows = read_rows("", ' hidden="1"', "")
    columns = read_rows("", "", columns='<cols><col min="2" max="16384" hidden="1"/></cols>')

    assert rows.text == "# Budget\n\na1 | b1\na3 | b3"
    assert [place for _, place in rows.places] == ["sheet Budget", "sheet Budget, row 1"]
    assert columns.text == "# Budget\n\na1\na2"
    assert rows.note.startswith(LEFT_OUT)
    assert columns.note.startswith(LEFT_OUT)


def test_hidden_rows_without_a_word_are_not_worth_one() -> None:
    assert read_rows("", columns='<cols><col min="9" max="16384" hidden="1"/></cols>').note == ""


@pytest.mark.parametrize(
    ("look", "around"),
    [
        (' hidden="1"', '<autoFilter ref="A1:B3"><filterColumn colId="0"/></autoFilter>'),
        (' hidden="true" outlineLevel="1"', ""),
        (' hidden="0"', ""),
    ],
)
def test_what_a_filter_or_a_group_folds_away_is_read(look: str, around: str) -> None:
    found = read_rows("", look, "", around=around)

    assert found.text == "# Budget\n\na1 | b1\na2 | b2\na3 | b3"
    assert found.note == ""


def test_rows_beside_a_filter_that_filters_nothing_stay_hidden() -> None:
    assert "a2" not in read_rows("", ' hidden="1"', around='<autoFilter ref="A1:B3"/>').text


def test_a_sheet_of_open_document_hides_what_somebody_hid() -> None:
    def row(words: str, look: str = "") -> str:
        cell = f'<table:table-cell office:value-type="string"><text:p>{words}</text:p></table:table-cell>'
        return f"<table:table-row {look}>{cell}{cell}</table:table-row>"

    collapsed = 'table:visibility="collapse"'
    group = f'<table:table-row-group table:display="false">{row("folded", collapsed)}</table:table-row-group>'
    body = (
        row("seen") + row("gone", collapsed) + row("filtered", 'table:visibility="filter"') + group
    )
    columns = f"<table:table-column/><table:table-column {collapsed}/>"
    content = (
        f"<office:document-content {made.ODF}><office:body><office:spreadsheet>"
        f'<table:table table:name="Costs">{columns}{body}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    book: made.Parts = {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "META-INF/manifest.xml": MANIFEST,
        "content.xml": content,
    }

    found = read_content(Source("a.ods", made.pack(book)))

    assert found.text == "# Costs\n\nseen\nfiltered\nfolded"
    assert "hidden rows and columns of Costs" in found.note


def test_rows_are_counted_where_they_have_no_numbers_and_columns_once() -> None:
    def read_sheet(columns: str, *rows: str) -> str:
        cell = '<c t="inlineStr"><is><t>{}</t></is></c>'
        body = "".join(
            f"<row{look}>{cell.format(at)}{cell.format('b')}</row>" for at, look in enumerate(rows)
        )
        sheet = f"<worksheet {made.S}>{columns}<sheetData>{body}</sheetData></worksheet>"
        parts = made.unpack(made.xlsx([]))
        book = made.pack({**parts, "xl/worksheets/sheet1.xml": sheet}, method=0)
        return read_content(Source("a.xlsx", book)).text

    column = '<col min="2" max="16384" hidden="1"/>'
    assert read_sheet("", "", ' hidden="1"', "") == "# Budget\n\n0 | b\n2 | b"
    # Looked through for each row, they took minutes.
    many = read_sheet(f"<cols>{column * 16_384}</cols>", *[""] * 20_000)
    assert many.endswith("\n19999")


def test_a_workbook_in_xml_hides_what_somebody_hid() -> None:
    space, excel = (
        "urn:schemas-microsoft-com:office:spreadsheet",
        "urn:schemas-microsoft-com:office:excel",
    )

    def read_book(*looks: str, columns: str = "", around: str = "") -> Reading:
        rows = "".join(
            f"<Row {look}><Cell><Data>a{n}</Data></Cell><Cell><Data>b{n}</Data></Cell></Row>"
            for n, look in enumerate(looks, 1)
        )
        book = (
            f'<Workbook xmlns="{space}" xmlns:ss="{space}" xmlns:x="{excel}"><Worksheet ss:Name="Budget">'
            f"<Table>{columns}{rows}</Table>{around}</Worksheet></Workbook>"
        )
        return read_content(Source("export.xls", book.encode()))

    gone = 'ss:Hidden="1"'
    rows = read_book("", gone, 'ss:Index="4"', f'{gone} ss:Span="1"', "")
    columns = read_book("", columns=f'<Column ss:Index="2" {gone}/>')
    filters = '<x:AutoFilter x:Range="R1C1:R2C2"><x:AutoFilterColumn/></x:AutoFilter>'
    filtered = read_book("", gone, gone, around=filters)

    assert rows.text == "# Budget\n\na1 | b1\na3 | b3\na5 | b5"
    assert columns.text == "# Budget\n\na1"
    assert filtered.text == "# Budget\n\na1 | b1\na2 | b2"
    assert all(found.note.startswith(LEFT_OUT) for found in (rows, columns, filtered))
