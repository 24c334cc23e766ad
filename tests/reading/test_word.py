"""What Word shows its readers is read, and nothing else: fields, boxes, numbers, notes, signs and both forms of a thing."""

from __future__ import annotations

import pytest

from engines.reading.dispatch import read_content
from engines.reading.office.numbering import W
from engines.reading.office.word_parts import rewrite_word
from engines.reading.package import Package
from engines.reading.result import Source
from tests.reading import made

SPACES = (
    f'{made.W} {made.R} {made.A} xmlns:v="urn:schemas-microsoft-com:vml" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml"'
)


def run(words: str, look: str = "") -> str:
    return f'<w:r><w:rPr>{look}</w:rPr><w:t xml:space="preserve">{words}</w:t></w:r>'


def field(data: str) -> str:
    begin = f'<w:r><w:fldChar w:fldCharType="begin"><w:ffData>{data}</w:ffData></w:fldChar></w:r>'
    return f'{begin}<w:r><w:fldChar w:fldCharType="end"/></w:r>'


BOX = f"<w:txbxContent><w:p>{run('in a box')}</w:p></w:txbxContent>"
SHAPE = (
    "<w:drawing><wp:anchor><a:graphic><a:graphicData><wps:wsp><wps:txbx>"
    f"{BOX}</wps:txbx></wps:wsp></a:graphicData></a:graphic></wp:anchor></w:drawing>"
)
OLDER = f"<w:pict><v:shape><v:textbox>{BOX}</v:textbox></v:shape></w:pict>"


def forms(choice: str, fallback: str) -> str:
    return (
        f'<w:r><mc:AlternateContent><mc:Choice Requires="wps">{choice}</mc:Choice>'
        f"<mc:Fallback>{fallback}</mc:Fallback></mc:AlternateContent></w:r>"
    )


SHOWN: dict[str, tuple[str, str]] = {
    "a simple field": (f'{run("Figure ")}<w:fldSimple w:instr="SEQ">{run("7")}</w:fldSimple>', "Figure 7"),
    "readings beside characters": (
        f"<w:r><w:ruby><w:rt>{run('とうきょう')}</w:rt><w:rubyBase>{run('東京')}</w:rubyBase></w:ruby></w:r>{run('へ')}",
        "東京へ",
    ),
    "words from the right": (f'<w:bdo w:val="rtl">{run("שלום")}</w:bdo><w:dir w:val="rtl">{run(" עולם")}</w:dir>', "שלום עולם"),
    "hidden words": (run("seen") + run(" hidden", "<w:vanish/>") + run(" too", '<w:vanish w:val="0"/>'), "seen too"),
    "older ends of lines": ("<w:r><w:t>one</w:t><w:cr/><w:t>two</w:t><w:ptab/><w:t>three</w:t></w:r>", "one\ntwo three"),
    "a sign of a font": ('<w:r><w:sym w:font="Arial" w:char="20AC"/><w:sym w:font="Symbol" w:char="F061"/></w:r>', "€α"),
    "a box in its newer form alone": (f"{run('x')}<w:r>{SHAPE}</w:r>", "x\n\nin a box"),
    "a box in both forms": (run("x") + forms(SHAPE, OLDER), "x\n\nin a box"),
    "a box without an older form": (run("x") + forms(SHAPE, ""), "x\n\nin a box"),
    "a sign in both forms": (forms("<x/>", "<w:t>😊</w:t>"), "😊"),
    "what a picture shows": (
        f'{run("See")}<w:r><w:drawing><wp:inline><wp:docPr id="1" descr="a red roof"/></wp:inline></w:drawing></w:r>',
        "See a red roof",
    ),
    "a box that is ticked": (
        f'<w:sdt><w:sdtPr><w14:checkbox><w14:checked w14:val="1"/></w14:checkbox></w:sdtPr><w:sdtContent>{run("☒")}</w:sdtContent></w:sdt>',
        "☒",
    ),
    "an older box that is ticked": (field('<w:checkBox><w:default w:val="0"/><w:checked/></w:checkBox>'), "☒"),
    "an older choice": (
        field('<w:ddList><w:result w:val="1"/><w:listEntry w:val="Kiel"/><w:listEntry w:val="Bonn"/></w:ddList>'),
        "Bonn",
    ),
    "a link to nothing": (f'<w:hyperlink r:id="none">{run("link")}</w:hyperlink>', "link"),
    "a note that is lacking": (f'{run("x")}<w:r><w:footnoteReference w:id="5"/></w:r>', "x"),
    "a comment that is lacking": (f'{run("x")}<w:r><w:commentReference w:id="5"/></w:r>', "x"),
}  # fmt: skip


def read_word(body: str, more: made.Parts | None = None) -> str:
    whole = f"<w:document {SPACES}><w:body>{body}</w:body></w:document>"
    document = made.docx("", more={"word/document.xml": whole, **(more or {})})
    return read_content(Source("a.docx", document)).text


@pytest.mark.parametrize("kind", SHOWN)
def test_a_paragraph_says_what_its_readers_see(kind: str) -> None:
    content, text = SHOWN[kind]

    assert read_word(f"<w:p>{content}</w:p>") == text


def test_notes_stand_behind_the_paragraph_or_the_table_that_refers_to_them() -> None:
    notes = "".join(
        f'<w:footnote w:id="{n}"><w:p><w:r><w:footnoteRef/></w:r>{run(words)}</w:p></w:footnote>'
        for n, words in ((2, "by Ada"), (3, "by Bob"), (4, "deleted"))
    )
    mark = '<w:r><w:footnoteReference w:id="{}"/></w:r>'
    cells = f"<w:tc><w:p>{run('a')}{mark.format(3)}</w:p></w:tc><w:tc><w:p>{run('b')}</w:p></w:tc>"

    text = read_word(
        f"<w:p>{run('One')}{mark.format(2)}<w:del>{mark.format(4)}</w:del></w:p>"
        f"<w:tbl><w:tr>{cells}</w:tr></w:tbl><w:p>{run('Two')}</w:p>",
        {"word/footnotes.xml": f"<w:footnotes {made.W}>{notes}</w:footnotes>"},
    )

    assert text == "One[1]\n\n[1] by Ada\n\na[2] | b\n\n[2] by Bob\n\nTwo"


def level(number: int, kind: str, text: str, start: int = 1) -> str:
    return f'<w:lvl w:ilvl="{number}"><w:start w:val="{start}"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/></w:lvl>'


def numbered(words: str, number: int, at: int = 0, style: str = "") -> str:
    look = f'<w:pStyle w:val="{style}"/>' if style else ""
    told = f'<w:numPr><w:ilvl w:val="{at}"/><w:numId w:val="{number}"/></w:numPr>'
    return f"<w:p><w:pPr>{look}{told}</w:pPr>{run(words)}</w:p>"


def test_numbers_before_paragraphs_are_those_that_word_shows() -> None:
    levels = (
        level(0, "decimal", "§ %1") + level(1, "decimal", "%1.%2") + level(2, "lowerLetter", "(%3)")
    )
    others = (
        level(0, "chineseCounting", "第%1章")
        + level(1, "upperRoman", "%2.", 4)
        + level(2, "hebrew1", "%3.")
    )
    lists = "".join(
        f'<w:num w:numId="{n}"><w:abstractNumId w:val="{of}"/>{more}</w:num>'
        for n, of, more in (
            (1, 0, ""),
            (2, 0, '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride>'),
            (3, 1, ""),
        )
    )
    numbering = (
        f'<w:numbering {made.W}><w:abstractNum w:abstractNumId="0">{levels}{level(3, "bullet", "*")}</w:abstractNum>'
        f'<w:abstractNum w:abstractNumId="1">{others}</w:abstractNum>{lists}</w:numbering>'
    )
    body = [
        numbered("Scope", 1, style="berschrift1"),
        numbered("First", 1, 1),
        numbered("letter", 1, 2),
        numbered("dash", 1, 3),
        made.paragraph("between"),
        numbered("Second", 1, 1),
        numbered("Terms", 1, style="berschrift1"),
        numbered("Third", 1, 1),
        numbered("Seventh", 2),
        numbered("Book", 3),
        numbered("Fourth", 3, 1),
        numbered("Not known", 3, 2),
        numbered("None", 0),
    ]  # fmt: skip
    related = made.relations(("styles", "styles.xml"), ("numbering", "numbering.xml"))

    text = read_word(
        "".join(body), {"word/numbering.xml": numbering, "word/_rels/document.xml.rels": related}
    )

    assert text.split("\n\n") == [
        "# § 1 Scope", "1.1 First", "(a) letter", "- dash", "between", "1.2 Second", "# § 2 Terms", "2.1 Third",
        "§ 7 Seventh", "第一章 Book", "IV. Fourth", "- Not known", "None",
    ]  # fmt: skip


def test_a_heading_is_one_by_its_level_whatever_its_style_is_called() -> None:
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{key}"><w:name w:val="{name}"/><w:basedOn w:val="{base}"/>'
        f"<w:pPr>{look}</w:pPr></w:style>"
        for key, name, base, look in (
            ("U", "Überschrift 2", "", '<w:outlineLvl w:val="1"/>'),
            ("My", "Ours", "U", ""),
            ("Toc", "TOC Heading", "U", '<w:outlineLvl w:val="9"/>'),
            ("Round", "Round", "Round", ""),
        )
    )
    body = "".join(made.paragraph(key, key) for key in ("U", "My", "Toc", "Round"))
    direct = f'<w:p><w:pPr><w:outlineLvl w:val="0"/></w:pPr>{run("direct")}</w:p>'

    text = read_word(body + direct, {"word/styles.xml": f"<w:styles {made.W}>{styles}</w:styles>"})

    assert text == "## U\n\n## My\n\nToc\n\nRound\n\n# direct"


def test_strict_documents_and_other_names_of_their_parts_are_read() -> None:
    """As Office saves them when told to, and as its programs on the web do."""
    strict = {
        name: content.replace(
            b"http://schemas.openxmlformats.org", b"http://purl.oclc.org/ooxml"
        ).replace(b"/2006/", b"/")
        for name, content in made.unpack(made.pptx(("Title", "Body"))).items()
        if not name.endswith(".rels")
    }
    slides = made.unpack(made.pptx(("Title", "Body")))
    document = {
        name.replace("document.xml", "document2.xml"): content.replace(b"word/document.xml", b"word/document2.xml")
        for name, content in made.unpack(made.docx(made.paragraph("Two"))).items()
    }  # fmt: skip

    assert read_content(Source("a.pptx", made.pack({**slides, **strict}))).text == "# Title\n\nBody"
    assert read_content(Source("a.docx", made.pack({**document}))).text == "Two"


def test_charts_of_a_text_are_read() -> None:
    chart = (
        '<c:chartSpace xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"><c:ser>'
        "<c:tx><c:v>Tiles</c:v></c:tx></c:ser></c:chartSpace>"
    ).replace("<c:v>Tiles</c:v>", '<c:pt idx="0"><c:v>Tiles</c:v></c:pt>')
    related = made.relations(("styles", "styles.xml"), ("chart", "charts/chart1.xml"))

    text = read_word(
        made.paragraph("x"),
        {"word/charts/chart1.xml": chart, "word/_rels/document.xml.rels": related},
    )

    assert text == "x\n\nTiles:"


def test_pages_that_a_program_put_beside_a_document_are_read() -> None:
    related = made.relations(("styles", "styles.xml"), ("aFChunk", "chunk.html"))
    beside: made.Parts = {
        "word/chunk.html": "<p>beside</p>",
        "word/_rels/document.xml.rels": related,
    }

    assert read_word('<w:altChunk r:id="r2"/>', beside) == "## chunk.html\n\nbeside"


def test_a_list_that_only_names_a_style_of_lists_has_its_numbers() -> None:
    numbering = (
        f'<w:numbering {made.W}><w:abstractNum w:abstractNumId="4"><w:styleLink w:val="Ours"/>{level(0, "decimal", "Art. %1")}</w:abstractNum>'
        '<w:abstractNum w:abstractNumId="5"><w:numStyleLink w:val="Ours"/></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="5"/></w:num></w:numbering>'
    )

    assert read_word(numbered("Scope", 1), {"word/numbering.xml": numbering}) == "Art. 1 Scope"


def test_a_list_that_begins_with_a_number_without_end_is_read() -> None:
    level = f'<w:lvl w:ilvl="0"><w:start w:val="{"9" * 5_000}"/><w:lvlText w:val="No. %1"/></w:lvl>'
    numbering = (
        f'<w:numbering {made.W}><w:abstractNum w:abstractNumId="1">{level}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num></w:numbering>'
    )
    look = '<w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>'

    text = read_word(f"<w:p>{look}{run('item')}</w:p>", {"word/numbering.xml": numbering})

    assert text.endswith("item")


def test_words_around_a_break_of_pages_or_columns_stay_apart() -> None:
    def part(kind: str) -> str:
        return f'<w:r><w:br w:type="{kind}"/></w:r>'

    assert (
        read_word(f"<w:p>{run('a')}{part('page')}{run('b')}{part('column')}{run('c')}</w:p>")
        == "a\nb\nc"
    )


def test_cells_of_a_table_have_the_names_that_stand_on_each_page() -> None:
    def row(*cells: str, look: str = "") -> str:
        held = "".join(f"<w:tc>{made.paragraph(cell)}</w:tc>" for cell in cells)
        return f"<w:tr><w:trPr>{look}</w:trPr>{held}</w:tr>"

    table = f"<w:tbl>{row('Part', 'Cost', look='<w:tblHeader/>')}{row('Roof', '5')}</w:tbl>"

    assert read_word(table) == "Part | Cost\nPart: Roof; Cost: 5"


def test_words_are_one_run_whatever_they_look_like_and_whenever_they_were_written() -> None:
    look = '<w:rPr><w:b/><w:sz w:val="22"/></w:rPr>'
    runs = (
        f'<w:r w:rsidR="00A1">{look}<w:t>The ro</w:t></w:r><w:proofErr w:type="spellStart"/><w:r><w:t>of</w:t></w:r>'
        f'<w:ins w:id="1"><w:r>{look}<w:t xml:space="preserve"> was</w:t></w:r></w:ins>'
        "<w:r><w:lastRenderedPageBreak/><w:t> repaired</w:t></w:r><w:r><w:tab/><w:t>in May.</w:t></w:r>"
    )
    document = made.docx(f'<w:p><w:pPr><w:jc w:val="both"/></w:pPr>{runs}</w:p>')

    body = rewrite_word(Package(document), "word/document.xml")
    (paragraph,) = Package(body).parse("word/document.xml").iter(f"{W}p")

    assert [len(run) for run in paragraph.iter(f"{W}r")] == [1, 2]
    assert "jc" not in {one.tag.removeprefix(W) for one in paragraph.iter()}
    assert read_content(Source("a.docx", document)).text == "The roof was repaired in May."
