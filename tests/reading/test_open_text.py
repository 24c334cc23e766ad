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


def test_sheets_in_one_file_of_xml_have_their_names() -> None:
    cells = "".join(
        f"<table:table-cell><text:p>{words}</text:p></table:table-cell>"
        for words in ("Roof", "12,5 %")
    )
    table = (
        f'<table:table table:name="Costs"><table:table-row>{cells}</table:table-row></table:table>'
    )

    found = read_content(Source("a.fods", content_of(table, "spreadsheet").encode()))

    assert found.text == "# Costs\n\nRoof | 12,5 %"
    assert found.places[0][1] == "sheet Costs"


def test_one_that_is_encrypted_says_so() -> None:
    manifest = "<manifest><file-entry><encryption-data/></file-entry></manifest>"

    with pytest.raises(InvalidRequestError, match="encrypted"):
        read_package("", {"META-INF/manifest.xml": manifest, "content.xml": bytes(range(256))})
