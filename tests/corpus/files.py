"""Facts as files of twelve kinds, made by small writers; `make_file` is the way in.

A search test takes `make_corpus()`: one file for each fact, its kind changing from fact to fact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from email.message import EmailMessage

from tests.corpus.facts import FACTS, Fact
from tests.reading import made

PAGE_TOP = 760
LINE_POINTS = 20
_RIGHT_TO_LEFT = ("\u0590", "\u08ff")
"""Hebrew to Arabic Extended: what a page shows from the right."""


def make_file(kind: str, texts: Sequence[str]) -> bytes:
    """Return a file of a kind (an ending without its dot) that says these texts, one a paragraph."""
    return KINDS[kind](texts)


def make_corpus() -> dict[str, tuple[Fact, bytes]]:
    """Return file name → the one fact it says and its bytes; each script has files of eight kinds."""
    kinds = list(KINDS)
    corpus = {}
    for at, fact in enumerate(FACTS):
        kind = kinds[(at + fact.number // len(kinds)) % len(kinds)]
        corpus[f"{fact.script}/{fact.number}.{kind}"] = (fact, make_file(kind, [fact.text]))
    return corpus


def _make_pdf(texts: Sequence[str]) -> bytes:
    """Write glyphs in the order in which they stand on the page, with a map back to characters.

    No font is embedded: what PDFium reads comes from the map, as it does in files that programs write.
    """
    characters = sorted({c for text in texts for c in text})
    ids = {c: number for number, c in enumerate(characters, 1)}
    lines = "".join(
        f"BT /F1 12 Tf 72 {PAGE_TOP - LINE_POINTS * n} Td <{''.join(f'{ids[c]:04X}' for c in _shown(text))}> Tj ET\n"
        for n, text in enumerate(texts)
    )
    to_unicode = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /A def\n"
        "1 begincodespacerange <0000> <FFFF> endcodespacerange\n"
        + "".join(
            f"1 beginbfchar <{number:04X}> <{c.encode('utf-16-be').hex()}> endbfchar\n"
            for c, number in ids.items()
        )
        + "endcmap end end\n"
    )
    return made.assemble_pdf(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            "/Resources << /Font << /F1 5 0 R >> >> >>",
            made.pdf_stream(lines),
            "<< /Type /Font /Subtype /Type0 /BaseFont /A /Encoding /Identity-H /DescendantFonts [6 0 R] "
            "/ToUnicode 7 0 R >>",
            "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /A /DW 600 /FontDescriptor 8 0 R "
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
            made.pdf_stream(to_unicode),
            "<< /Type /FontDescriptor /FontName /A /Flags 4 /FontBBox [0 -200 1000 800] /ItalicAngle 0 "
            "/Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >>",
        ]
    )


def _shown(text: str) -> str:
    """Return a text as its glyphs stand from left to right."""
    is_reversed = any(_RIGHT_TO_LEFT[0] <= c <= _RIGHT_TO_LEFT[1] for c in text)
    return text[::-1] if is_reversed else text


def _make_docx(texts: Sequence[str]) -> bytes:
    return made.docx("".join(made.paragraph(text) for text in texts))


def _make_pptx(texts: Sequence[str]) -> bytes:
    return made.pptx(*((f"{number}", text) for number, text in enumerate(texts, 1)))


def _make_xlsx(texts: Sequence[str]) -> bytes:
    return made.xlsx([["n", "fact"], *([number, text] for number, text in enumerate(texts, 1))])


def _make_odt(texts: Sequence[str]) -> bytes:
    return made.odt("".join(f"<text:p>{text}</text:p>" for text in texts))


def _make_html(texts: Sequence[str]) -> bytes:
    body = "".join(f"<p>{text}</p>" for text in texts)
    return f'<!doctype html><html><head><meta charset="utf-8"></head><body>{body}</body></html>'.encode()


def _make_epub(texts: Sequence[str]) -> bytes:
    return made.epub(*(f"<html><body><p>{text}</p></body></html>" for text in texts))


def _make_mail(texts: Sequence[str]) -> bytes:
    message = EmailMessage()
    message["Subject"] = "Facts"
    message.set_content("\n\n".join(texts))
    return message.as_bytes()


def _make_csv(texts: Sequence[str]) -> bytes:
    return "\r\n".join(["n,fact", *(f'{n},"{text}"' for n, text in enumerate(texts))]).encode()


def _make_json(texts: Sequence[str]) -> bytes:
    return json.dumps([{"fact": text} for text in texts]).encode()


def _make_markdown(texts: Sequence[str]) -> bytes:
    return "\n\n".join(["# Facts", *texts]).encode()


def _make_text(texts: Sequence[str]) -> bytes:
    return "\r\n\r\n".join(texts).encode("utf-16")


KINDS: dict[str, Callable[[Sequence[str]], bytes]] = {
    "pdf": _make_pdf,
    "docx": _make_docx,
    "pptx": _make_pptx,
    "xlsx": _make_xlsx,
    "odt": _make_odt,
    "html": _make_html,
    "epub": _make_epub,
    "eml": _make_mail,
    "csv": _make_csv,
    "json": _make_json,
    "md": _make_markdown,
    "txt": _make_text,
}
