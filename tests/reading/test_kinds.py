"""Every kind of file gives its words, the place of each, and nothing that is not for people."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from engines.exceptions import InvalidRequestError
from engines.reading.dispatch import read_content
from engines.reading.reader import ReadFile, RefusedFile, read_files
from engines.reading.result import Source
from engines.services.knowledge.cutting.chunking import Span
from engines.services.knowledge.cutting.places import place_passages
from tests.reading import made
from tests.reading.made import PAYLOAD

SHORT_MAIL = f"Subject: Roof\nContent-Type: text/plain\n\n{PAYLOAD}\n"
ROOF = f"# House\n\n## Roof\n\n{PAYLOAD}"
KINDS: dict[str, tuple[bytes, str, str]] = {
    "a.pdf": (made.pdf(["Cover", PAYLOAD]), f"Cover\n\n{PAYLOAD}", "page 2"),
    "a.docx": (
        made.docx(
            made.paragraph("House", "berschrift1")
            + made.paragraph("Roof", "berschrift2")
            + made.paragraph(PAYLOAD)
        ),
        ROOF,
        "House › Roof",
    ),
    "a.pptx": (
        made.pptx(("One", "first"), ("Roof", PAYLOAD)),
        f"# One\n\nfirst\n\n# Roof\n\n{PAYLOAD}",
        "slide 2 · Roof",
    ),
    "rows.docx": (
        made.docx(
            "<w:tbl>"
            + "".join(
                f"<w:tr><w:tc>{made.paragraph(a)}</w:tc><w:tc>{made.paragraph(b)}</w:tc></w:tr>"
                for a, b in (("Part", "What"), ("Roof", PAYLOAD))
            )
            + "</w:tbl>"
            + made.equation(
                "<m:r><m:t>E=m</m:t></m:r><m:sSup><m:e><m:r><m:t>c</m:t></m:r></m:e><m:sup><m:r><m:t>n+1</m:t></m:r>"
                "</m:sup></m:sSup><m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>b</m:t></m:r></m:den></m:f>"
            )
        ),
        f"Part | What\nRoof | {PAYLOAD}\n\nThen E=mc^(n+1)a/b holds.",
        "",
    ),
    "chart.pptx": (
        made.pptx(
            ("Roof", "x"),
            drawn="<a:tbl><a:tr><a:tc><a:p><a:r><a:t>Part</a:t></a:r></a:p></a:tc></a:tr></a:tbl>",
            chart='<c:chart xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"><c:ser>'
            '<c:tx><c:pt idx="0"><c:v>Costs</c:v></c:pt></c:tx><c:cat><c:pt idx="0"><c:v>May</c:v></c:pt></c:cat>'
            f'<c:val><c:pt idx="0"><c:v>{PAYLOAD}</c:v></c:pt></c:val></c:ser></c:chart>',
        ),
        f"# Roof\n\nx\n\nPart\n\nCosts: May {PAYLOAD}",
        "slide 1 · Roof",
    ),
    "a.xlsx": (
        made.xlsx([["Part", "What"], ["Cellar", 12], ["Roof", PAYLOAD]]),
        f"# Budget\n\nPart: Cellar; What: 12\nPart: Roof; What: {PAYLOAD}",
        "sheet Budget, row 2 · Budget",
    ),
    "a.odt": (
        made.odt(
            '<text:h text:outline-level="1">House</text:h><text:h text:outline-level="2">Roof</text:h>'
            "<text:p>The roof<text:s/>was <text:span>repaired</text:span> in May.</text:p>"
        ),
        ROOF,
        "House › Roof",
    ),
    "notes.odt": (
        made.odt(
            f"<text:p>Seen<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>{PAYLOAD}</text:p>"
            "</text:note-body></text:note> again<draw:frame><draw:text-box><text:p>in a box</text:p></draw:text-box>"
            "</draw:frame></text:p><text:list><text:list-item><text:p>one</text:p></text:list-item></text:list>"
            "<table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell></table:table-row>"
            "<table:table-row><table:table-cell><text:p>b</text:p></table:table-cell></table:table-row></table:table>"
        ),
        f"Seen[1] again\nin a box\n\n[1] {PAYLOAD}\n\n- one\n\na\nb",
        "",
    ),
    "a.epub": (
        made.epub(
            "<html><body><p>Before</p></body></html>", f"<html><body><p>{PAYLOAD}</p></body></html>"
        ),
        f"Before\n\n{PAYLOAD}",
        "chapter 2",
    ),
    "a.html": (
        made.HTML.encode(),
        f"Menu\n\n# House\n\n## Roof\n\n{PAYLOAD}\nAnd twice.\n\n- one\n\n- two\n\nPart | Cost\n"
        "Part: Tiles; Cost: 400\n\n~~~~\na  = 1\n# b\n~~~~",
        "House › Roof",
    ),
    "rows.html": (
        b"<table><tr><td><p>Part</p><td><div>What</div></tr><tr><td>Roof<td><p>The roof</p><p>was repaired in May.</p></table>"
        b"<table><tr><td><h1>Layout</h1><p>x</p><td><p>y</p></table>",
        f"Part | What\nRoof | {PAYLOAD}\n\n# Layout\n\nx\ny",
        "",
    ),
    "a.eml": (
        made.mail("See below.", ("roof.pdf", made.pdf([PAYLOAD])), ("run.exe", b"MZ\x90\0\1")),
        "# About the röof\n\nFrom: ada@example.org\nTo: bob@example.org\n\nSee below.\n\n## roof.pdf\n\n"
        f"{PAYLOAD}\n\nAttached: run.exe (not read: It is a program, not a text.)",
        "attached roof.pdf, page 1 · About the röof › roof.pdf",
    ),
    "forms.eml": (
        made.mail_of_parts(
            "mixed",
            made.mail_of_parts(
                "alternative",
                "Content-Type: text/plain\n\n \n",
                f"Content-Type: text/html\n\n<p>{PAYLOAD}</p>\n",
                made.mail_of_parts("mixed", "Content-Disposition: attachment; filename=n.txt\n\nseen\n"),
            ),
            "Content-Type: text/html\n\n<p>More</p>\n",
            "Content-Type: application/pgp-signature\n\nabc\n",
        ).encode(),
        f"{PAYLOAD}\n\nMore\n\n## n.txt\n\nseen\n",
        "message",
    ),
    "headers.eml": (
        f"Subject: Caf\xe9\nContent-Type: multipart/mixed\n\n{PAYLOAD}".encode("latin-1"),
        f"# Café\n\n{PAYLOAD}",
        "message · Café",
    ),
    "a.emlx": (
        f"{len(SHORT_MAIL):<10}\n{SHORT_MAIL}<plist>1</plist>".encode(),
        f"# Roof\n\n{PAYLOAD}",
        "message · Roof",
    ),
    "a.mbox": (
        "From - Mon May  3 10:00:00 2027\nSubject: One\n\n>From the roof on\nFrom 2027\n\nFrom x Mon May  3 10:00:00 2027\n"
        f"\nno mail\nFrom x Mon May  3 10:00:00 2027\r\n{SHORT_MAIL}".encode(),
        "# One\n\nFrom the roof on\nFrom 2027\n\nFrom x Mon May  3 10:00:00 2027\n\nno mail\n\n"
        f"# Roof\n\n{PAYLOAD}",
        "mail 2, message · Roof",
    ),
    "Inbox": (
        f"From - Mon May  3 10:00:00 2027\nX-Mozilla-Status: 0001\n{SHORT_MAIL}".encode(),
        f"# Roof\n\n{PAYLOAD}",
        "mail 1, message · Roof",
    ),
    "a.patch": (
        f"From 0a1b Mon Sep 17 00:00:00 2001\nFrom: Ada\n\n+# {PAYLOAD}\n".encode(),
        f"From 0a1b Mon Sep 17 00:00:00 2001\nFrom: Ada\n\n+# {PAYLOAD}\n",
        "line 4",
    ),
    "a.csv": (
        f"Part;What\nCellar;12\nRoof;{PAYLOAD}\n".encode(),
        f"Part: Cellar; What: 12\nPart: Roof; What: {PAYLOAD}",
        "row 2",
    ),
    "named.csv": (f"sep=;\nPart;What\nRoof;{PAYLOAD}\n".encode(), f"Part: Roof; What: {PAYLOAD}", "row 2"),
    "shown.html": (
        b"\xef\xbb\xbf<meta charset=iso-8859-1><p>Caf\xc3\xa9<span style='display: none'>not this</span> <ruby>\xe5\xb1\x8b<rt>ya"
        + f"</ruby></p><p>{PAYLOAD}".encode(),
        f"Café 屋\n\n{PAYLOAD}",
        "",
    ),
    "named.html": (f"<meta charset=utf-16><p>{PAYLOAD} Café".encode(), f"{PAYLOAD} Café", ""),
    "a.json": (
        f'[{{"part": "cellar"}}, {{"part": {{"name": "roof", "what": ["{PAYLOAD}", 2.5]}}}}]'.encode(),
        f"part: cellar\n\npart.name: roof\npart.what: {PAYLOAD}\npart.what: 2.5",
        "item 2",
    ),
    "a.jsonl": (f'{{"n": 1}}\n\n{{"roof": "{PAYLOAD}"}}\n'.encode(), f"n: 1\n\nroof: {PAYLOAD}", "line 3"),
    "a.ipynb": (
        json.dumps(
            {
                "cells": [
                    {"cell_type": "markdown", "source": ["# House\n", PAYLOAD]},
                    {
                        "cell_type": "code",
                        "source": "a = 1",
                        "outputs": [
                            {"output_type": "stream", "text": ["seen\n"]},
                            {"output_type": "execute_result", "data": {"text/plain": "2", "image/png": "AA"}},
                            {"output_type": "error", "ename": "E", "evalue": "no"},
                        ],
                    },
                ]
            }
        ).encode(),
        f"# House\n{PAYLOAD}\n\n~~~~\na = 1\n~~~~\n\n~~~~\nseen\n2\nE: no\n~~~~",
        "cell 1 · House",
    ),
    "a.py": (f"import os\n\n# {PAYLOAD}\n".encode(), f"import os\n\n# {PAYLOAD}\n", "line 3"),
    "lines.md": (
        f"---\ntitle: x\n# no heading\n---\n\nHouse\n=====\n\nRoof\n----\n\n{PAYLOAD}".encode(),
        f"---\ntitle: x\n# no heading\n---\n\nHouse\n=====\n\nRoof\n----\n\n{PAYLOAD}",
        "House › Roof",
    ),
    "a.md": (f"# House\n\n{PAYLOAD}".encode(), f"# House\n\n{PAYLOAD}", "House"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_read_with_its_places(name: str) -> None:
    content, text, _ = KINDS[name]

    found = read_content(Source(name, content))

    assert found.text == text
    lines = found.text.split("\n")
    before = next(number for number, line in enumerate(lines) if "repaired in May" in line)
    is_markdown = found.media_type == "text/markdown"
    begins = sum(len(line) + 1 for line in lines[:before])
    passage = Span(begins, begins + len(lines[before]))
    (place,) = place_passages(found.text, [passage], found.places, is_markdown=is_markdown)
    assert place.label == KINDS[name][2]


def test_all_kinds_in_one_archive_are_read_by_one_process(tmp_path: Path) -> None:
    packed = made.pack({f"in/{name}": content for name, (content, _, _) in KINDS.items()})
    stored = tmp_path / "file"
    stored.write_bytes(packed)

    found = list(read_files(stored, "all.zip"))

    assert [one for one in found if isinstance(one, RefusedFile)] == []
    read = {one.path: one.reading for one in found if isinstance(one, ReadFile)}
    assert {path: reading.text for path, reading in read.items()} == {
        f"all.zip/in/{name}": text for name, (_, text, _) in KINDS.items()
    }
    digest = hashlib.sha256(KINDS["a.pdf"][0]).hexdigest()
    assert read["all.zip/in/a.pdf"].sha256 == digest


HOSTILE: dict[str, tuple[bytes, str]] = {
    "none.mbox": (b"no mail\n", "damaged"),
    "cut.pdf": (made.pdf(["a"])[:200], "damaged"),
    "scan.pdf": (made.pdf([""]), "pictures"),
    "locked.pdf": (
        made.pdf(
            ["x"],
            extra=f"/Encrypt << /Filter /Standard /V 1 /R 2 /O ({'a' * 32}) /U ({'b' * 32}) /P -44 >> "
            "/ID [(a)(a)]",
        ),
        "encrypted",
    ),
    "entities.docx": (made.docx("<w:p/>", head=made.ENTITIES), "entities"),
    "entities.odt": (made.odt("<text:p>&i;</text:p>", head=made.ENTITIES), "entities"),
    "entities.xlsx": (
        made.pack({"xl/workbook.xml": made.ENTITIES + "<workbook/>"}),
        "entities",
    ),
    "bomb.docx": (made.docx("<w:p/>" + " " * 30_000_000), "unpack"),
    "deep.odt": (
        made.odt("".join(f'<text:section a="{n % 97 * n}">' for n in range(9000)) + "</text:section>" * 9000),
        "nested so deep",
    ),
    "empty.docx": (made.docx(made.paragraph("\u200b\u00a0")), "no text in it"),
    "cut.docx": (made.docx(made.paragraph("x"))[:-40], "damaged"),
    "part.pptx": (made.pack({"ppt/presentation.xml": "<p>"}), "damaged"),
    "old.doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "before 2007"),
    "deep.json": (b"[" * 100_000, "nested deeper"),
    "wrong.json": (b'{"a": ', "no JSON"),
    "locked.epub": (
        made.epub("<p>x</p>", encryption='<encryption><CipherReference URI="OEBPS/text/c0.xhtml"/></encryption>'),
        "locked for one reader",
    ),
    "inner.zip": (made.pack({"a.txt": "x"}), "archive in an archive"),
    "letter.msg": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "save it as .eml"),
    "files.tar": (b"a.txt" + bytes(252) + b"ustar\x0000" + bytes(700), "pack it as .zip"),
    "song.mp3": (b"ID3\4\0\0\0" + b"\xff\xfb" * 90, "sound or video"),
    "photo.png": (b"\x89PNG\r\n\x1a\n" + bytes(50), "picture"),
    "empty.odt": (b"", "empty or blank"),
    "blank.txt": (b" \n", "empty or blank"),
    "far.xlsx": (made.xlsx([["a"]], last="XFD1048576"), "ended"),
    "noise.bin": (bytes(range(256)) * 4, "none of the kinds"),
}  # fmt: skip


def test_a_hostile_file_has_its_sentence_and_the_others_are_read(tmp_path: Path) -> None:
    """The last but one takes its process along; what follows is read by another."""
    stored = tmp_path / "file"
    stored.write_bytes(
        made.pack({**{name: content for name, (content, _) in HOSTILE.items()}, "good.txt": "good"},
                  method=0)
    )  # fmt: skip

    *refused, good = read_files(stored, "a.zip")

    assert isinstance(good, ReadFile)
    assert good.reading.text == "good"
    said = {
        one.path.removeprefix("a.zip/"): one.why for one in refused if isinstance(one, RefusedFile)
    }
    assert set(said) == set(HOSTILE)
    lacking = {name: said[name] for name, (_, words) in HOSTILE.items() if words not in said[name]}
    assert lacking == {}


def test_macros_are_left_where_they_are() -> None:
    document = made.docx(made.paragraph(PAYLOAD), more={"word/vbaProject.bin": b"Sub AutoOpen()"})

    assert read_content(Source("a.docm", document)).text == PAYLOAD


def test_mails_in_mails_end_somewhere() -> None:
    content = made.mail("the innermost")
    for _ in range(4):
        content = made.mail("around", ("inner.eml", content))

    text = read_content(Source("a.eml", content)).text

    assert text.count("around") == 3
    assert "enclosed too deep" in text


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="no text in it"):
        read_content(Source("a.txt", "\u200b\u2060 \u00a0\ufeff\u3164\n".encode()))
