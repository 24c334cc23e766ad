"""Files that are broken or made to harm: each has its sentence, or is read for what it says; no reader is lost to one."""

from __future__ import annotations

import zlib
from pathlib import Path

from engines.reading.reader import ENDED, ReadFile, RefusedFile, read_files
from tests.reading import made
from tests.reading.made import PAYLOAD
from tests.reading.test_kinds import KINDS

CATALOG = "<< /Type /Catalog /Pages 2 0 R >>"
ONE_PAGE = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
OUTSIDE = '<!DOCTYPE x [<!ENTITY out SYSTEM "file:///etc/passwd">]>'


def page(more: str = "") -> str:
    resources = f"/Resources << /Font << /F1 5 0 R >> {more} >>"
    return f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R {resources} >>"


def packed_stream(content: bytes) -> str:
    data = zlib.compress(content, 9).decode("latin-1")
    return f"<< /Length {len(data)} /Filter /FlateDecode >>\nstream\n{data}\nendstream"


def many_parts(count: int) -> bytes:
    head = 'Subject: Many\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    part = '--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename="{0}.txt"\n\npart {0}\n'
    parts = "".join(part.format(number) for number in range(count))
    return f"{head}{parts}--b--\n".encode()


def nested_parts(depth: int) -> bytes:
    parts = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth)
    )
    return b"Subject: deep\nMIME-Version: 1.0\n" + parts + b"\nhello\n"


def ods(repeat: int) -> bytes:
    cell = f'<table:table-cell office:value-type="string" table:number-columns-repeated="{repeat}"><text:p>x</text:p></table:table-cell>'
    rows = f'<table:table-row table:number-rows-repeated="{repeat}">{cell}</table:table-row>'
    return made.pack(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": f"<office:document-content {made.ODF}><office:body><office:spreadsheet>"
            f'<table:table table:name="a">{rows}</table:table></office:spreadsheet></office:body></office:document-content>',
        }
    )


TABLE_IN_TABLE = (
    "<w:tbl><w:tr><w:tc>" * 1500 + made.paragraph("x") + "</w:tc></w:tr></w:tbl>" * 1500
)

REFUSED: dict[str, tuple[bytes, str]] = {
    "many.pdf": (made.pdf(["x"] * 10_000), "10000 pages"),
    "loop.pdf": (
        made.assemble_pdf([CATALOG, "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 999999 >>"]),
        "999999 pages",
    ),
    "count.pdf": (
        made.assemble_pdf([CATALOG, ONE_PAGE.replace("1 >>", "2000 >>"), page(), made.pdf_stream("BT ET"), FONT]),
        "page 2 is damaged",
    ),
    "bomb.pdf": (
        made.assemble_pdf([CATALOG, ONE_PAGE, page(), packed_stream(b" " * 60_000_000), FONT]),
        "pictures without text",
    ),
    "itself.pdf": (
        made.assemble_pdf(
            [
                *(CATALOG, ONE_PAGE, page("/XObject << /X 6 0 R >>"), made.pdf_stream("/X Do"), FONT),
                "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 6 0 R >> >> "
                "/Length 5 >>\nstream\n/X Do\nendstream",
            ]
        ),
        "pictures without text",
    ),
    "deep.html": (b"<div>" * 200_000 + b"x", "open in each other"),
    "closed.html": (b"<div>" * 90_000 + b"x" + b"</div>" * 90_000, "open in each other"),
    "stray.html": (b"<div></b>" * 100_000 + b"x", "open in each other"),
    "drawn.xhtml": (b"<svg><g>" * 100_000 + b"x", "open in each other"),
    "comment.html": (b"<!-->" + b"<div>" * 100_000 + b"x", "open in each other"),
    "drawing.html": (b"<svg><title>" + b"<div>" * 100_000 + b"x", "open in each other"),
    "choice.html": (b"<select>" + b"<option>x" * 100_000, "options to choose from"),
    "deep.epub": (made.epub("<div>" * 200_000 + "x"), "open in each other"),
    "tables.docx": (made.docx(TABLE_IN_TABLE), "nested so deep"),
    "outside.docx": (made.docx(made.paragraph("&out;"), head=OUTSIDE), "entities"),
    "outside.pptx": (made.pack({"ppt/presentation.xml": OUTSIDE + "<p>&out;</p>"}), "entities"),
    "repeat.ods": (ods(2**31), "damaged"),
    "cells.xlsx": (made.xlsx([["x"] * 2], last="C1048576"), "cells, 2000000 are read"),
    "nothing.eml": (b"\n\n", "empty or blank"),
    "digits.mbox": (b"From " + b"1" * 1_000_000, "damaged"),
    "nothing.csv": (b"", "empty or blank"),
    "mark.txt": (b"\xef\xbb\xbf", "no text in it"),
    "bomb.txt": (b"a" * 1_200_000, "more than 100 times its size"),
    "../up.txt": (b"x", "begins with a dot"),
    "text.pages": (made.pack({"Index/Document.iwa": b"x"}), "export it as PDF"),
    "photo.heic": (b"\0\0\0\x18ftypheic" + bytes(50), "It is a picture"),
    "page.rtf": (b"{\\rtf1 x}", "RTF is not read"),
}  # fmt: skip

READ: dict[str, tuple[bytes, str]] = {
    "script.pdf": (
        made.pdf([PAYLOAD]).replace(
            b"/Type /Catalog", b"/Type /Catalog /OpenAction << /S /JavaScript /JS (app.alert(1)) >>"
        ),
        PAYLOAD,
    ),
    "filled.pdf": (
        made.assemble_pdf(
            [
                *(CATALOG, ONE_PAGE, page().replace("/Contents", "/Annots [6 0 R] /Contents"), made.pdf_stream("")),
                FONT,
                "<< /Type /Annot /Subtype /Widget /FT /Tx /F 4 /Rect [72 600 400 620] /AP << /N 7 0 R >> >>",
                "<< /Type /XObject /Subtype /Form /BBox [0 0 328 20] /Resources << /Font << /F1 5 0 R >> >> "
                + made.pdf_stream(f"BT /F1 12 Tf 2 5 Td ({PAYLOAD}) Tj ET").removeprefix("<< "),
            ]
        ),
        PAYLOAD,
    ),
    "blanks.odt": (made.odt(f'<text:p>{PAYLOAD}<text:s text:c="2000000000"/></text:p>'), PAYLOAD),
    "outside.html": (
        f'{OUTSIDE}<html><body><p>{PAYLOAD} &out;</p><iframe src="file:///etc/passwd"></iframe></body></html>'.encode(),
        f"{PAYLOAD} &out;",
    ),
    "span.html": (f"<table><tr><td colspan=1000000000>{PAYLOAD}</td></tr></table>".encode(), PAYLOAD),
    "cells.html": (f"<table><tr>{'<td>' * 100_000}{PAYLOAD}</table>".encode(), PAYLOAD),
    "scripts.html": (f"<p>{PAYLOAD}</p>{'<script>' * 100_000}".encode(), PAYLOAD),
    "comments.html": (f"<p>{PAYLOAD}</p><!--{'<div>' * 100_000}-->".encode(), PAYLOAD),
    "lists.html": (f"{'<ul><li>' * 500}{PAYLOAD}".encode(), PAYLOAD),
    "macros.xlsm": (made.xlsx([["a"], [PAYLOAD]]), PAYLOAD),
    "mails.mbox": (b"From x 2027\nSubject: x\n\ny\n" * 20_000, "# x"),
    "quotes.mbox": (b"From x 2027\nSubject: x\n\n" + b">" * 1_000_000, "# x"),
    "parts.eml": (many_parts(1000), "part 999"),
    "deep.eml": (nested_parts(100), "# deep"),
    "charset.eml": (
        f"Subject: x\nContent-Type: text/plain; charset=nonsense\n\n{PAYLOAD}\n".encode(),
        PAYLOAD,
    ),
    "base64.eml": (
        b"Subject: x\nContent-Transfer-Encoding: base64\nContent-Type: text/plain\n\n!!!!not base64===\n",
        "!!!!not base64===",
    ),
    "digits.json": (b'{"a": ' + b"9" * 5000 + b"}", "9" * 5000),
    "exact.json": (b'{"price": 1.10, "far": 1e999}', "price: 1.10\nfar: 1e999"),
    "twice.json": (b'{"a": {"b": 1, "b": [2, 3]}}', "a.b: 1\na.b: 2\na.b: 3"),
    "half.json": (b'{"a": "x\\ud800y"}', "a: x\ufffdy"),
    "lines.json": (b'{"a": 1}\n{"a": 2}\n', "a: 1\n\na: 2"),
    "field.csv": (b'a,b\n"' + b"x" * 200_000 + b'",2\n', "b: 2"),
    "quote.csv": (b'a,b\n"x,1\ny,2\n', "a: x,1 y,2"),
    **{
        f"a{blank}b.txt": (b"good", "good")
        for blank in ("\u00a0", "\u3000", "\u200c", "\u200d", "\u00ad", "\u202f", " \U0001f469\u200d\U0001f52c ")
    },
}  # fmt: skip


def cut_files() -> dict[str, bytes]:
    """Return each kind of file cut short at two places, and with some bytes of its middle turned over."""
    found = {}
    for name, (content, _, _) in KINDS.items():
        for part in (3, 2):
            found[f"cut at 1 of {part} {name}"] = content[: len(content) // part]
        middle = len(content) // 2
        turned = bytes(byte ^ 0x55 for byte in content[middle : middle + 8])
        found[f"turned {name}"] = content[:middle] + turned + content[middle + 8 :]
    return found


def read_all(folder: Path, files: dict[str, bytes]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what was read and what was refused, by name."""
    stored = folder / "file"
    stored.write_bytes(made.pack(dict(files)))
    found = list(read_files(stored, "all.zip"))
    named = [(one.path.removeprefix("all.zip/"), one) for one in found]
    texts = {name: one.reading.text for name, one in named if isinstance(one, ReadFile)}
    return texts, {name: one.why for name, one in named if isinstance(one, RefusedFile)}


def test_each_hostile_file_has_its_sentence_and_each_odd_one_is_read(tmp_path: Path) -> None:
    files = {name: content for name, (content, _) in (REFUSED | READ).items()}

    texts, refused = read_all(tmp_path, files)

    assert set(refused) == set(REFUSED)
    wrong = {
        name: refused[name] for name, (_, words) in REFUSED.items() if words not in refused[name]
    }
    assert wrong == {}
    lacking = {
        name: texts[name][:200] for name, (_, words) in READ.items() if words not in texts[name]
    }
    assert lacking == {}
    # Nobody's password file came along, and no reader was ended.
    assert not any("root:" in text for text in texts.values())
    assert ENDED not in refused.values()


def test_a_damaged_file_of_any_kind_is_read_in_part_or_refused_with_a_sentence(
    tmp_path: Path,
) -> None:
    files = cut_files()

    texts, refused = read_all(tmp_path, files)

    assert set(texts) | set(refused) == set(files)
    assert ENDED not in refused.values()
    assert [why for why in refused.values() if not why.endswith(".")] == []
