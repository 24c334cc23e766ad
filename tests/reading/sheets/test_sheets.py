"""Workbooks: numbers as they are shown, sheets that are hidden, formulas without values, and where columns have their names."""

from __future__ import annotations

import pytest

from engines.exceptions import InvalidRequestError
from engines.reading.dispatch import read_content
from engines.reading.office.number_formats import read_format
from engines.reading.result import Reading, Source
from tests.reading import made

FORMATS = [
    ("0.0%", 0.125, "12.5%"),
    ('#,##0.00 "€"', 1234.5, "1234.50 €"),
    (r"_-* #,##0.00\ [$€-407]_-;\-* #,##0.00\ [$€-407]_-", -3.0, "-3.00 €"),
    ("[$$-409]#,##0.00;[Red]-[$$-409]#,##0.00", -5.25, "-$5.25"),
    ('0.0" kg"', 2.25, "2.3 kg"),
    ('0.00 "%"', 5.0, "5.00 %"),
    ("00000", 1067.0, "01067"),
    (r"000\-00\-0000", 12345678.0, "012-34-5678"),
    ("0%", float("inf"), "inf"),
    ("0000 0000 0000 0000", 1234567890123450.0, "1234567890123450"),
    ("0000", 2.5, "0003"),
    ('0.0##" m"', 1.5, "1.5 m"),
    ('#.##" m"', 2.0, "2 m"),
    ('# ##0.00" €"', 1234.5, "1234.50 €"),
    ('"+"0%;"-"0%', -0.05, "-5%"),
    ("+0.0%;-0.0%;0.0%", 0.05, "+5.0%"),
    ("+0.0%;-0.0%;0.0%", -0.05, "-5.0%"),
    ("+0.0%;-0.0%;0.0%", 0.0, "0.0%"),
    ('"Gain "0;"Loss "0', -5.0, "Loss 5"),
    ('0.00" CR";0.00" DR"', -5.0, "5.00 DR"),
    ('"€"#,##0;[Red]"€"#,##0', -5.0, "-€5"),
    (r'_("$"* #,##0.00_);_("$"* \(#,##0.00\);_("$"* "-"??_);_(@_)', -5.0, "-$ 5.00"),
]


@pytest.mark.parametrize(("code", "value", "shown"), FORMATS)
def test_a_number_is_written_as_it_is_shown(code: str, value: float, shown: str) -> None:
    found = read_format(code)

    assert found is not None
    assert found.show(value) == shown


@pytest.mark.parametrize(
    "code",
    [
        "",
        "General",
        "0.00",
        "#,##0",
        "yyyy-mm-dd",
        "0.00E+00",
        "# ?/?",
        "@",
        '#,##0,"k"',
        "(0##) 000",
        '[<1]0.0%;0" pcs"',
        "#-0",
        f"{'[$' * 200_000}0%",
    ],
)
def test_a_format_that_says_no_more_than_the_number_is_left_out(code: str) -> None:
    assert read_format(code) is None


def read_book(
    sheets: str, *cells: str, formats: str = "", more: made.Parts | None = None
) -> Reading:
    parts = made.unpack(made.xlsx([]))
    styles = "".join(
        f'<numFmt numFmtId="{164 + n}" formatCode="{code}"/>'
        for n, code in enumerate(formats.split())
    )
    looks = "".join(f'<xf numFmtId="{164 + n}"/>' for n, _ in enumerate(formats.split()))
    rows = "".join(f'<row r="{n}">{row}</row>' for n, row in enumerate(cells, 1))
    changed: made.Parts = {
        "xl/workbook.xml": f"<workbook {made.S} {made.R}><sheets>{sheets}</sheets></workbook>",
        "xl/styles.xml": f'<styleSheet {made.S}><numFmts>{styles}</numFmts><cellXfs><xf numFmtId="0"/>{looks}</cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f"<worksheet {made.S}><sheetData>{rows}</sheetData></worksheet>",
    }  # fmt: skip
    return read_content(Source("a.xlsx", made.pack({**parts, **changed, **(more or {})})))


SHOWN = '<sheet name="Shown" sheetId="1" r:id="r1"/>'


def test_cells_are_read_as_they_are_shown() -> None:
    found = read_book(
        SHOWN,
        '<c r="A1" s="1"><v>0.125</v></c><c r="C1" s="2"><v>1067</v></c>',
        '<c r="A2" s="0"><v>0.125</v></c><c r="C2"><v>1067</v></c>',
        formats="0.0% 00000",
    )

    assert found.text == "# Shown\n\n12.5% | 01067\n0.125 | 1067"


def test_durations_are_read_as_they_are_shown() -> None:
    cells = '<c r="A1" s="1"><v>1.5</v></c><c r="B1" s="1"><v>-0.0625</v></c>'

    assert read_book(SHOWN, cells, formats="[h]:mm").text == "# Shown\n\n36:00:00 | -1:30:00"


def test_cells_of_a_workbook_with_many_styles_are_read_as_they_are_shown() -> None:
    found = read_book(SHOWN, '<c r="A1" s="300"><v>0.5</v></c>', formats=" ".join(["0%"] * 300))

    assert found.text == "# Shown\n\n50%"


def test_a_hidden_sheet_is_left_out_and_said() -> None:
    hidden = '<sheet name="Secret" sheetId="2" state="{}" r:id="r1"/>'

    for state in ("hidden", "veryHidden"):
        found = read_book(SHOWN + hidden.format(state), '<c r="A1"><v>1</v></c>')
        assert found.text == "# Shown\n\n1"
        assert "Secret" in found.note
    with pytest.raises(InvalidRequestError, match="hidden: Secret"):
        read_book(hidden.format("hidden"), '<c r="A1"><v>1</v></c>')


def test_formulas_without_values_are_said() -> None:
    value = '<c r="A1"><v>7</v></c>'

    assert "not computed" in read_book(SHOWN, f'{value}<c r="B1"><f>A1*2</f><v/></c>').note
    assert "not computed" in read_book(SHOWN, f'{value}<c r="B1"><f>A1*2</f></c>').note
    assert read_book(SHOWN, f'{value}<c r="B1" t="str"><f>""</f><v></v></c>').note == ""
    assert read_book(SHOWN, f'{value}<c r="B1"><f t="shared" si="0"/><v>2</v></c>').note == ""


def test_words_that_lie_over_the_cells_are_read() -> None:
    box = f'<xdr:wsDr xmlns:xdr="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing" {made.A}><a:p><a:r><a:t>in a box</a:t></a:r></a:p></xdr:wsDr>'
    related = made.relations(("drawing", "../drawings/drawing1.xml"))

    found = read_book(
        SHOWN, '<c r="A1"><v>1</v></c>', more={"xl/drawings/drawing1.xml": box, "xl/worksheets/_rels/sheet1.xml.rels": related}
    )  # fmt: skip

    assert found.text == "# Shown\n\n1\n\nin a box"


def test_columns_have_their_names_below_the_title_of_a_table() -> None:
    content = "Report 2026,,\n,,\nName,Amount,City\nAda,5,Kiel\n"

    assert (
        read_content(Source("a.csv", content.encode())).text
        == "Report 2026\nName: Ada; Amount: 5; City: Kiel"
    )


def test_signs_in_quotes_part_no_cells() -> None:
    content = '"Smith, J";"a"\n"Doe, R, X";"b"\n'

    assert read_content(Source("a.csv", content.encode())).text == "Smith, J: Doe, R, X; a: b"


def test_years_are_names_of_columns_where_no_years_stand_below() -> None:
    def read_rows(*rows: str) -> str:
        return read_content(Source("a.csv", "\n".join(rows).encode())).text

    assert read_rows("Item,2024,2025", "Roof,5,6") == "Item: Roof; 2024: 5; 2025: 6"
    assert read_rows("Ada,1990,2020", "Bob,1985,2019") == "Ada | 1990 | 2020\nBob | 1985 | 2019"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Rent;1200 €", "Power;80 €"),
        ("Rent;5%", "Power;(10%)"),
        ("2024-05-01;Meeting", "2024-05-02;Lunch"),
        ("A1;red", "A2;blue"),
        ("Rent;1200 EUR", "Power;80 EUR"),
    ],
)
def test_what_is_of_one_kind_with_the_cell_below_names_no_column(first: str, second: str) -> None:
    found = read_content(Source("a.csv", f"{first}\n{second}\n".encode()))

    assert found.text == f"{first}\n{second}".replace(";", " | ")


def test_months_are_names_of_columns() -> None:
    found = read_content(Source("a.csv", b"Item;2024-01;Q2\nRoof;5;6\n"))

    assert found.text == "Item: Roof; 2024-01: 5; Q2: 6"


def test_quotes_behind_a_blank_are_quotes() -> None:
    content = '"Name" ; "Place"\n"Ada" ; "Kiel; North"\n'

    assert read_content(Source("a.csv", content.encode())).text == "Name: Ada; Place: Kiel; North"


def test_a_workbook_in_one_file_of_xml_is_read_as_one() -> None:
    def row(*cells: str, more: str = "") -> str:
        return f"<Row {more}>{''.join(f'<Cell><Data>{cell}</Data></Cell>' for cell in cells)}</Row>"

    table = row("Part", "Cost", "When") + row(
        "Roof", "5", "2026-03-05T00:00:00.000", more='ss:Index="4"'
    )
    gap = '<Row><Cell><Data>Cellar</Data></Cell><Cell ss:Index="3"><Data>later</Data></Cell></Row>'
    hidden = '<Worksheet ss:Name="Secret"><Table><Row><Cell><Data>x</Data></Cell></Row></Table><WorksheetOptions><Visible>SheetHidden</Visible></WorksheetOptions></Worksheet>'
    book = (
        '<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" '
        f'xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet"><Worksheet ss:Name="Costs"><Table>{table}{gap}</Table></Worksheet>{hidden}</Workbook>'
    )

    found = read_content(Source("export.xls", book.encode()))

    assert (
        found.text == "# Costs\n\nPart: Roof; Cost: 5; When: 2026-03-05\nPart: Cellar; When: later"
    )
    assert found.places[1][1] == "sheet Costs, row 4"
    assert "Secret" in found.note


def test_cells_of_a_workbook_in_xml_stand_under_their_names_as_they_are_shown() -> None:
    space = "urn:schemas-microsoft-com:office:spreadsheet"
    names = "".join(f"<Cell><Data>{name}</Data></Cell>" for name in ("Who", "Of", "Share", "At"))
    values = (
        '<Cell ss:MergeAcross="1"><Data>Ada</Data></Cell>'
        '<Cell ss:StyleID="p"><Data ss:Type="Number">0.05</Data></Cell><Cell><Data>2026-03-05T10:30:00.000</Data></Cell>'
    )
    book = (
        f'<Workbook xmlns="{space}" xmlns:ss="{space}"><Styles><Style ss:ID="p"><NumberFormat ss:Format="Percent"/></Style></Styles>'
        f'<Worksheet ss:Name="Costs"><Table><Row ss:Span="1">{names}</Row><Row>{values}</Row></Table>'
        "<WorksheetOptions><Visible>SheetVisible</Visible></WorksheetOptions></Worksheet></Workbook>"
    )

    found = read_content(Source("export.xls", book.encode()))

    assert found.text == "# Costs\n\nWho: Ada; Share: 5.00%; At: 2026-03-05 10:30:00"
    assert found.places[1][1] == "sheet Costs, row 3"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<table><tr><td>Part<td>Cost</tr><tr><td>Roof<td>5</tr></table>", "Part | Cost\nRoof | 5"),
        ("\ufeffPart\tCost\nRoof\t5\n", "Part: Roof; Cost: 5"),
    ],
)
def test_a_table_that_is_only_named_as_a_workbook_is_read(content: str, text: str) -> None:
    assert read_content(Source("export.xls", content.encode())).text == text


def test_a_workbook_in_xml_that_names_cells_without_end_is_refused() -> None:
    def read_row(*indexes: str) -> str:
        cells = "".join(
            f'<Row><Cell ss:Index="{index}"><Data>x</Data></Cell></Row>' for index in indexes
        )
        space = "urn:schemas-microsoft-com:office:spreadsheet"
        book = f'<Workbook xmlns="{space}" xmlns:ss="{space}"><Worksheet ss:Name="Far"><Table>{cells}</Table></Worksheet></Workbook>'
        return read_content(Source("far.xls", book.encode())).text

    with pytest.raises(InvalidRequestError, match="damaged"):
        read_row("99999999999")
    with pytest.raises(InvalidRequestError, match="more than 2000000 cells"):
        read_row(*["16384"] * 200)
    assert "x" in read_row("16384", "9" * 5000)


MANIFEST = (
    '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{}</m:manifest>'
)


def test_percent_money_and_time_of_opendocument_are_read_as_they_are_shown() -> None:
    def cell(kind: str, value: str, words: str, more: str = "") -> str:
        return f'<table:table-cell office:value-type="{kind}" office:value="{value}" {more}><text:p>{words}</text:p></table:table-cell>'

    twice = 'table:number-columns-repeated="2"'
    gap = '<table:table-cell table:number-columns-repeated="2"/>'
    remark = "<office:annotation><text:p>check this</text:p></office:annotation>"
    share = cell("percentage", "0.125", "12,5 %").replace("<text:p>", f"{remark}<text:p>")
    hours = cell("time", "", "36:00", 'office:time-value="PT36H00M00S"').replace(
        'office:value=""', ""
    )
    rows = (
        f"<table:table-row>{gap}{share}</table:table-row>"
        '<table:table-row table:number-rows-repeated="2"><table:table-cell/></table:table-row>'
        f"<table:table-row>{cell('currency', '5', '5,00 €', twice)}{cell('float', '7', '7')}{hours}</table:table-row>"
    )
    content = f'<office:document-content {made.ODF}><office:body><office:spreadsheet><table:table table:name="Costs">{rows}</table:table></office:spreadsheet></office:body></office:document-content>'
    book = made.pack(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": MANIFEST,
            "content.xml": content,
        }
    )

    assert (
        read_content(Source("a.ods", book)).text == "# Costs\n\n12,5 %\n5,00 € | 5,00 € | 7 | 36:00"
    )


def test_a_workbook_of_opendocument_that_is_encrypted_says_so() -> None:
    locked = MANIFEST.format("<m:file-entry><m:encryption-data/></m:file-entry>")
    book = made.pack(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": locked,
            "content.xml": bytes(range(256)),
        }
    )

    with pytest.raises(InvalidRequestError, match="encrypted"):
        read_content(Source("a.ods", book))
