"""Pages and books: what browsers and readers of books show of XML, lists, formulas, drawings and forms."""

from __future__ import annotations

import pytest

from engines.exceptions import InvalidRequestError
from engines.reading.dispatch import read_content
from engines.reading.result import Reading, Source
from tests.reading import made
from tests.reading.made import PAYLOAD

XHTML = '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
PAGES = {
    "numbers of a list": ('<ol start="3"><li>three<li>four<ol type="a"><li>sub</ol><li value="9">nine</ol>', "3. three\n\n4. four\n\na. sub\n\n9. nine"),
    "a formula": (
        "<p>Then <math><mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup>"
        "<annotation>E=mc^{2}</annotation></math> holds",
        "Then E=mc^2 holds",
    ),
    "a fraction": ("<p><math><mfrac><mrow><mi>a</mi><mo>+</mo><mn>1</mn></mrow><msqrt><mi>b</mi></msqrt></mfrac></math>", "(a+1)/(√b)"),
    "labels of a drawing": (
        "<p>See</p><svg><title>tooltip</title><style>.a {}</style><text>Cellar</text><text>Roof</text></svg>", "See\n\nCellar\n\nRoof",
    ),
    "what was filled in": ('<form>Name:<input value="Ada"><input type="hidden" value="token"></form>', "Name: Ada"),
    "what is not open": ("<dialog>closed</dialog><datalist><option>offered</datalist><dialog open>open</dialog>", "open"),
    "one twin of a formula": (
        '<span class="katex-mathml"><math><mi>x</mi></math></span><span class="katex-html"><b>x</b></span> and <span class="katex-html">y=1</span>',
        "x and y=1",
    ),
    "what a search opens": ('<p hidden>never</p><div hidden="until-found">found</div>', "found"),
    "what is named like what hides": ('<p style="--menu-display:none">seen</p><p style="color:red; display : none">not</p>', "seen"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_says_what_its_readers_see(kind: str) -> None:
    page, text = PAGES[kind]

    assert read_content(Source("a.html", page.encode())).text == text


TABLES = {
    "names of columns": ("<tr><th>Part<th>Cost</tr><tr><td><p>Roof</p><td>5</tr><tr><td>Wall<td>7</tr>", "Part | Cost\nPart: Roof; Cost: 5\nPart: Wall; Cost: 7"),
    "names of rows too": ("<tr><th><th>2025<th>2026</tr><tr><th>Roof<td><td>5</tr>", "2025 | 2026\nRoof; 2026: 5"),
    "names of rows alone": ("<tr><th>Part<td>Roof</tr><tr><th>Cost<td>5</tr>", "Part | Roof\nCost | 5"),
    "a name for two columns": ("<tr><th>Part<th colspan=2>2026</tr><tr><td>Roof<td>5<td>6</tr>", "Part | 2026\nRoof | 5 | 6"),
    "a cell for two rows": ("<tr><th>Part<th>Cost</tr><tr><td rowspan=2>Roof<td>5</tr><tr><td>6</tr>", "Part | Cost\nPart: Roof; Cost: 5\n6"),
    "one name twice": ("<tr><th>Cost<th>Cost</tr><tr><td>5<td>6</tr>", "Cost | Cost\n5 | 6"),
    "another table": ("<tr><th>Part<th>Cost</tr></table><table><tr><td>Roof<td>5</tr>", "Part | Cost\n\nRoof | 5"),
    "a table in a cell": ("<tr><th>Part<th>Cost</tr><tr><td>x<td><table><tr><td>a<td>b</table></tr><tr><td>Roof<td>5</tr>", "Part | Cost\nx |\n\na | b\n\nPart: Roof; Cost: 5"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_a_cell_has_the_name_of_its_column_where_a_row_says_it(kind: str) -> None:
    rows, text = TABLES[kind]

    assert read_content(Source("a.html", f"<table>{rows}</table>".encode())).text == text


ANCHOR = '<p><a id="x"/><span/></p>'
CHAPTERS = {
    "empty elements": f"{XHTML}<head><title/><script src='a.js'/></head><body><p>{PAYLOAD}</p><div/></body></html>",
    "many anchors": f"{XHTML}<body>{ANCHOR * 3_000}<p>{PAYLOAD}</p></body></html>",
    "what is declared": f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY nbsp "&#160;">]><html><body><p>{PAYLOAD}</p></body></html>',
    "what is declared behind other things": f'<?xml version="1.0"?>\n<!-- made by -- hand -->\n<!DOCTYPE html [<!ENTITY nbsp "&#160;">]><html><body><p>{PAYLOAD}</p></body></html>',
    "what only looks declared": f"{XHTML}<body><!--{'<!DOCTYPE[' * 100_000}--><p>{PAYLOAD}</p></body></html>",
    "raw text": f"{XHTML}<body><p><![CDATA[{PAYLOAD}]]></p></body></html>",
}


@pytest.mark.parametrize("kind", CHAPTERS)
def test_pages_in_xml_are_read_as_xml(kind: str) -> None:
    page = CHAPTERS[kind]

    assert read_content(Source("a.xhtml", page.encode())).text == PAYLOAD
    assert read_content(Source("a.epub", made.epub(page))).text == PAYLOAD


def test_a_drawing_alone_is_read_for_its_labels() -> None:
    drawing = '<svg xmlns="http://www.w3.org/2000/svg"><path d="M10 20"/><title>x</title><text>Roof</text></svg>'

    assert read_content(Source("a.svg", drawing.encode())).text == "Roof"


def change_book(changed: made.Parts, *, without: str = "") -> Reading:
    parts = made.unpack(made.epub("<p>One</p>", "<p>Two</p>"))
    kept = {name: content for name, content in parts.items() if name != without}
    return read_content(Source("a.epub", made.pack({**kept, **changed})))


def test_a_book_without_a_chapter_is_read_and_says_so() -> None:
    found = change_book({}, without="OEBPS/text/c0.xhtml")

    assert found.text == "Two"
    assert "lacks: 1" in found.note


def test_a_book_of_which_only_fonts_are_locked_is_read() -> None:
    locked = "<encryption><CipherReference URI='OEBPS/{}'/></encryption>"

    assert (
        change_book({"META-INF/encryption.xml": locked.format("fonts/c0.xhtml.ttf")}).text
        == "One\n\nTwo"
    )
    with pytest.raises(InvalidRequestError, match="locked for one reader"):
        change_book({"META-INF/encryption.xml": locked.format("text/c0.xhtml")})
