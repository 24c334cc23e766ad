"""Files of every kind, as programs write them and as attackers do; each says `PAYLOAD` somewhere."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from email.message import EmailMessage

PAYLOAD = "The roof was repaired in May."
Parts = dict[str, bytes | str]
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'
)
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {here} "{f"&{before};" * 10}">'
        for before, here in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + '<!ENTITY out SYSTEM "file:///etc/passwd">]>'
)


def pack(parts: Parts, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of these members, in their order."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def unpack(content: bytes) -> dict[str, bytes]:
    """Return the members of a zip, in their order."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def relations(*targets: tuple[str, str]) -> str:
    """Return an Office part that says what another refers to."""
    rows = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{RELATIONS}">{rows}</Relationships>'


def types(*parts: tuple[str, str]) -> str:
    """Return the list of an Office document's parts."""
    rows = "".join(f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in parts)
    return (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{rows}</Types>'
    )


def pdf(pages: Iterable[str], *, extra: str = "") -> bytes:
    """Return a PDF with these lines, one a page."""
    lines = list(pages)
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(lines)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(lines)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, line in enumerate(lines):
        stream = f"BT /F1 12 Tf 72 700 Td ({line}) Tj ET" if line else ""
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {5 + 2 * number} 0 R >>"
        )
        objects.append(pdf_stream(stream))
    return assemble_pdf(objects, extra=extra)


def pdf_stream(content: str) -> str:
    """Return an object of a PDF that holds these lines."""
    return f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"


def assemble_pdf(objects: Iterable[str], *, extra: str = "") -> bytes:
    """Return a PDF of these objects, the catalog first."""
    body, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(offsets) + 1
    return bytes(
        body
        + (
            f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R {extra} >>\n"
            f"startxref\n{len(body)}\n%%EOF\n"
        ).encode()
    )


def docx(body: str, *, head: str = "", more: Parts | None = None) -> bytes:
    """Return a Word document with this body."""
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    styles = (
        f"<w:styles {W}>"
        + "".join(
            f'<w:style w:type="paragraph" w:styleId="berschrift{n}"><w:name w:val="heading {n}"/></w:style>'
            for n in (1, 2)
        )
        + "</w:styles>"
    )
    return pack(
        {
            "[Content_Types].xml": types(("word/document.xml", main)),
            "_rels/.rels": relations(("officeDocument", "word/document.xml")),
            "word/_rels/document.xml.rels": relations(("styles", "styles.xml")),
            "word/styles.xml": styles,
            "word/document.xml": f"{head}<w:document {W}><w:body>{body}</w:body></w:document>",
            **(more or {}),
        }
    )


def equation(content: str) -> str:
    """Return an equation of Word, in a paragraph between two words."""
    space = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    return f"<w:p><w:r><w:t>Then </w:t></w:r><m:oMath {space}>{content}</m:oMath><w:r><w:t> holds.</w:t></w:r></w:p>"


def paragraph(words: str, style: str = "") -> str:
    """Return a paragraph of Word."""
    look = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{look}<w:r><w:t>{words}</w:t></w:r></w:p>"


def pptx(*slides: tuple[str, str], chart: str = "", drawn: str = "") -> bytes:
    """Return slides of a title and a text each; the first may have a table or the like, and a chart beside it."""
    shape = '<p:sp><p:nvSpPr><p:cNvPr id="{n}" name=""/><p:cNvSpPr/><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:txBody></p:sp>'
    parts: Parts = {
        "[Content_Types].xml": types(),
        "ppt/presentation.xml": f"<p:presentation {P} {R}><p:sldIdLst>"
        + "".join(f'<p:sldId id="{255 + n}" r:id="r{n}"/>' for n in range(1, len(slides) + 1))
        + "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            *(("slide", f"slides/slide{n}.xml") for n in range(1, len(slides) + 1))
        ),
    }
    for number, (title, words) in enumerate(slides, 1):
        shapes = shape.format(n=1, kind="title", words=title) + shape.format(
            n=2, kind="body", words=words
        )
        shapes += drawn if number == 1 else ""
        parts[f"ppt/slides/slide{number}.xml"] = (
            f"<p:sld {P} {A}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
        )
    if chart:
        parts["ppt/slides/_rels/slide1.xml.rels"] = relations(("chart", "../charts/chart1.xml"))
        parts["ppt/charts/chart1.xml"] = chart
    return pack(parts)


def xlsx(rows: Iterable[Iterable[object]], *, name: str = "Budget", last: str = "") -> bytes:
    """Return a workbook of one sheet; ``last`` names one more cell, far away perhaps."""
    book = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    cells = "".join(
        f'<row r="{n}">'
        + "".join(
            f'<c r="{chr(65 + m)}{n}"><v>{value}</v></c>'
            if isinstance(value, int)
            else f'<c r="{chr(65 + m)}{n}" t="inlineStr"><is><t>{value}</t></is></c>'
            for m, value in enumerate(row)
        )
        + "</row>"
        for n, row in enumerate(rows, 1)
    )
    far = f'<row r="1048576"><c r="{last}"><v>1</v></c></row>' if last else ""
    return pack(
        {
            "[Content_Types].xml": types(("xl/workbook.xml", book)),
            "_rels/.rels": relations(("officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": f'<workbook {S} {R}><sheets><sheet name="{name}" sheetId="1" r:id="r1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": relations(("worksheet", "worksheets/sheet1.xml")),
            "xl/worksheets/sheet1.xml": f"<worksheet {S}><sheetData>{cells}{far}</sheetData></worksheet>",
        }
    )


def odt(body: str, *, head: str = "") -> bytes:
    """Return a text of OpenDocument."""
    return pack(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"{head}<office:document-content {ODF}><office:body><office:text>{body}</office:text></office:body></office:document-content>",
        }
    )


def epub(*chapters: str, encryption: str = "") -> bytes:
    """Return a book of these pages."""
    items = "".join(
        f'<item id="c{n}" href="text/c{n}.xhtml" media-type="application/xhtml+xml"/>'
        for n in range(len(chapters))
    )
    order = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    locked: Parts = {"META-INF/encryption.xml": encryption} if encryption else {}
    return pack(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
            "OEBPS/book.opf": f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{order}</spine></package>',
            **{f"OEBPS/text/c{n}.xhtml": page for n, page in enumerate(chapters)},
            **locked,
        }
    )


def mail(body: str, *attached: tuple[str, bytes]) -> bytes:
    """Return a mail."""
    message = EmailMessage()
    message["From"], message["To"] = "ada@example.org", "bob@example.org"
    message["Subject"] = "About the röof"
    message.set_content(body)
    for name, content in attached:
        message.add_attachment(
            content, maintype="application", subtype="octet-stream", filename=name
        )
    return message.as_bytes()


def mail_of_parts(kind: str, *parts: str) -> str:
    """Return a mail, or a part of one, that is put together of parts."""
    mark = f"{kind}{len(''.join(parts))}"
    body = "".join(f"--{mark}\n{part}\n" for part in parts)
    return (
        f"MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary={mark}\n\n{body}--{mark}--\n"
    )


HTML = f"""<!doctype html><html><head><title>House</title><style>p {{}}</style>
<script>document.write("not this")</script></head><body><nav>Menu</nav><h1>House</h1><h2>Roof</h2>
<p>{PAYLOAD}<br>And <b>twice</b>.</p><ul><li>one</li><li>two</li></ul>
<table><tr><th>Part</th><th>Cost</th></tr><tr><td>Tiles</td><td>400</td></tr></table><pre>a  = 1
# b</pre><p hidden>nor this</p></body></html>"""
