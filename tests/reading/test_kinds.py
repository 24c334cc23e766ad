"""Every kind of file gives its words, the place of each, and nothing that is not for people."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from engines.exceptions import InvalidRequestError
from engines.reading.dispatch import read_content
from engines.reading.reader import ReadFile, RefusedFile, read_files
from engines.reading.result import Source
from engines.services.knowledge.cutting.places import place_passages
from tests.reading import made
from tests.reading.made import PAYLOAD

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
        "Tiles | 400\n\n~~~~\na  = 1\n# b\n~~~~",
        "House › Roof",
    ),
    "a.eml": (
        made.mail("See below.", ("roof.pdf", made.pdf([PAYLOAD])), ("run.exe", b"MZ\x90\0\1")),
        "# About the röof\n\nFrom: ada@example.org\nTo: bob@example.org\n\nSee below.\n\n## roof.pdf\n\n"
        f"{PAYLOAD}\n\nAttached: run.exe (not read: It is a program, not a text.)",
        "attached roof.pdf, page 1 · About the röof › roof.pdf",
    ),
    "a.csv": (
        f"Part;What\nCellar;12\nRoof;{PAYLOAD}\n".encode(),
        f"Part: Cellar; What: 12\nPart: Roof; What: {PAYLOAD}",
        "row 2",
    ),
    "a.json": (
        f'[{{"part": "cellar"}}, {{"part": {{"name": "roof", "what": ["{PAYLOAD}", 2.5]}}}}]'.encode(),
        f"part: cellar\n\npart.name: roof\npart.what: {PAYLOAD}\npart.what: 2.5",
        "item 2",
    ),
    "a.jsonl": (f'{{"n": 1}}\n\n{{"roof": "{PAYLOAD}"}}\n'.encode(), f"n: 1\n\nroof: {PAYLOAD}", "line 3"),
    "a.ipynb": (
        f'{{"cells": [{{"cell_type": "markdown", "source": ["# House\\n", "{PAYLOAD}"]}}, '
        '{"cell_type": "code", "source": "a = 1"}]}'.encode(),
        f"# House\n{PAYLOAD}\n\n~~~~\na = 1\n~~~~",
        "cell 1 · House",
    ),
    "a.py": (f"import os\n\n# {PAYLOAD}\n".encode(), f"import os\n\n# {PAYLOAD}\n", "line 3"),
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
    (place,) = place_passages(found.text, [begins], found.places, is_markdown=is_markdown)
    assert place.label == KINDS[name][2]


def test_all_kinds_in_one_archive_are_read_by_one_process(tmp_path: Path) -> None:
    packed = made.pack({f"in/{name}": content for name, (content, _, _) in KINDS.items()})
    stored = tmp_path / "file"
    stored.write_bytes(packed)

    found = list(read_files(stored, "all.zip", folder="all.zip"))

    assert [one for one in found if isinstance(one, RefusedFile)] == []
    read = {one.path: one.reading for one in found if isinstance(one, ReadFile)}
    assert {path: reading.text for path, reading in read.items()} == {
        f"all.zip/in/{name}": text for name, (_, text, _) in KINDS.items()
    }
    digest = hashlib.sha256(KINDS["a.pdf"][0]).hexdigest()
    assert read["all.zip/in/a.pdf"].sha256 == digest


HOSTILE: dict[str, tuple[bytes, str]] = {
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
        made.epub("<p>x</p>", encryption="<encryption>text/c0.xhtml</encryption>"),
        "locked for one reader",
    ),
    "inner.zip": (made.pack({"a.txt": "x"}), "archive in an archive"),
    "photo.png": (b"\x89PNG\r\n\x1a\n" + bytes(50), "picture"),
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
    said = {one.path: one.why for one in refused if isinstance(one, RefusedFile)}
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
