"""OpenDocument: what is hidden stays so, formulas stand where they are shown, and one file of XML is read as a package is."""

from __future__ import annotations

import pytest

from engines.exceptions import InvalidRequestError
from engines.reading.dispatch import read_content
from engines.reading.result import Source
from tests.reading import made

SPACES = (
    f'{made.ODF} xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"'
)
HIDING = '<style:style style:name="T1"><style:text-properties text:display="none"/></style:style>'
SHOWN = {
    "a style that hides": (
        '<text:p>seen <text:span text:style-name="T1">hidden</text:span>too</text:p><text:p text:style-name="T1">x</text:p>',
        "seen too",
    ),
    "hidden words": (
        '<text:p>seen<text:hidden-text>secret</text:hidden-text> <text:hidden-text text:is-hidden="false">shown</text:hidden-text></text:p>',
        "seen shown",
    ),
    "a hidden section": ('<text:section text:display="none"><text:p>x</text:p></text:section><text:p>seen</text:p>', "seen"),
    "a hidden paragraph": ('<text:p>seen</text:p><text:p>x<text:hidden-paragraph text:is-hidden="true"/></text:p>', "seen"),
    "what a picture shows": (
        "<text:p>See<draw:frame><draw:image/><svg:title>Roof</svg:title><svg:desc>red tiles</svg:desc></draw:frame></text:p>",
        "See Roof  red tiles",
    ),
}  # fmt: skip


def content_of(body: str, kind: str = "text") -> str:
    return (
        f"<office:document-content {SPACES}><office:automatic-styles>{HIDING}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )


def read_package(body: str, more: made.Parts | None = None) -> str:
    parts: made.Parts = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": content_of(body),
        **(more or {}),
    }
    return read_content(Source("a.odt", made.pack(parts))).text


@pytest.mark.parametrize("kind", SHOWN)
def test_a_text_says_what_its_readers_see(kind: str) -> None:
    body, text = SHOWN[kind]

    assert read_package(body) == text
    assert read_content(Source("a.fodt", content_of(body).encode())).text == text


@pytest.mark.parametrize("prefix", ["", "math:"])
def test_a_formula_stands_where_it_is_shown(prefix: str) -> None:
    space = f'xmlns{":math" if prefix else ""}="http://www.w3.org/1998/Math/MathML"'
    formula = f"<@math {space}><@semantics><@mrow><@mi>E</@mi><@mo>=</@mo><@msup><@mi>c</@mi><@mn>2</@mn></@msup></@mrow><@annotation>E = c^2</@annotation></@semantics></@math>"
    coded = formula.replace("</@", f"</{prefix}").replace("<@", f"<{prefix}")
    body = '<text:p>Then <draw:frame><draw:object xlink:href="./Object 1"/></draw:frame> holds.</text:p>'

    assert read_package(body, {"Object 1/content.xml": coded}) == "Then E=c^2 holds."


def test_sheets_in_one_file_of_xml_are_read_as_packed_ones() -> None:
    def row(*cells: str, look: str = "") -> str:
        told = "".join(
            f'<table:table-cell office:value-type="string"><text:p>{words}</text:p></table:table-cell>'
            for words in cells
        )
        return f"<table:table-row {look}>{told}</table:table-row>"

    hidden = row("Cellar", "9", look='table:visibility="collapse"')
    rows = row("Part", "Share") + hidden + row("Roof", "12,5 %")
    table = f'<table:table table:name="Costs">{rows}</table:table>'

    found = read_content(Source("a.fods", content_of(table, "spreadsheet").encode()))

    assert found.text == "# Costs\n\nPart: Roof; Share: 12,5 %"
    assert [place for _, place in found.places] == ["sheet Costs", "sheet Costs, row 3"]
    assert "hidden rows" in found.note


def test_one_that_is_encrypted_says_so() -> None:
    manifest = "<manifest><file-entry><encryption-data/></file-entry></manifest>"

    with pytest.raises(InvalidRequestError, match="encrypted"):
        read_package("", {"META-INF/manifest.xml": manifest, "content.xml": bytes(range(256))})


def level(number: int, kind: str, more: str = "") -> str:
    return f'<text:list-level-style-number text:level="{number}" style:num-format="{kind}" {more}/>'


def items(*inner: str) -> str:
    return "".join(f"<text:list-item>{one}</text:list-item>" for one in inner)


def paragraph(words: str) -> str:
    return f"<text:p>{words}</text:p>"


def test_numbers_before_paragraphs_and_headings_are_those_that_are_shown() -> None:
    outline = (
        '<text:outline-style><text:outline-level-style text:level="1" style:num-format="1"/>'
        '<text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/></text:outline-style>'
    )
    first = (
        level(1, "1", 'style:num-suffix="."'),
        level(2, "a", 'style:num-prefix="(" style:num-suffix=")"'),
    )
    second = level(1, "I", 'text:start-value="4" loext:num-list-format="§ %1%"'), level(2, "?")
    lists = "".join(
        f'<text:list-style style:name="{name}">{"".join(levels)}</text:list-style>'
        for name, levels in (("L1", first), ("L2", second))
    )
    styles = f"<office:document-styles {SPACES}><office:styles>{outline}</office:styles></office:document-styles>"
    inner = f"<text:list>{items(paragraph('sub'), paragraph('sub'))}</text:list>"
    bare = f"<text:list>{items(paragraph('bare'))}</text:list>"
    body = (
        '<text:h text:outline-level="1">One</text:h><text:h text:outline-level="2">Below</text:h>'
        f'<text:list text:style-name="L1" xml:id="x">{items(paragraph("a") + paragraph("goes on"), paragraph("b") + inner)}</text:list>'
        '<text:h text:outline-level="1">Two</text:h><text:h text:outline-level="1" text:is-list-header="true">Bare</text:h>'
        f'<text:list text:style-name="L1" text:continue-numbering="true">{items(paragraph("c"))}</text:list>'
        f'<text:list text:style-name="L1">{items(paragraph("new"))}</text:list>'
        f'<text:list text:style-name="L1" text:continue-list="x">{items(paragraph("d"))}</text:list>'
        f'<text:list text:style-name="L2">{items(paragraph("four"), bare)}</text:list>'
    )
    content = (
        content_of(body)
        .replace(HIDING, lists)
        .replace("xmlns:svg", 'xmlns:loext="urn:loext" xmlns:svg', 1)
    )

    text = read_package("", {"content.xml": content, "styles.xml": styles})

    assert text.split("\n\n") == [
        "# 1 One", "## 1.1 Below", "1. a", "goes on", "2. b", "(a) sub", "(b) sub", "# 2 Two", "# Bare", "3. c",
        "1. new", "4. d", "§ IV four", "- bare",
    ]  # fmt: skip
