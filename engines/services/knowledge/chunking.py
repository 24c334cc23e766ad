"""Cut a text into pieces small enough to embed, along its own structure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MAX_CHARS = 900
"""About 230 tokens of prose: inside the limit of small embedders, large enough to hold a thought."""

MIN_CHARS = 300
"""A new Markdown section opens a new chunk once the last one has at least this much."""

MARKDOWN = "text/markdown"
_HEADING = re.compile(r"#{1,6}\s")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_BREAKS = ("\n", ". ", "! ", "? ", "; ", ", ", " ", "\t")
"""Where an overlong paragraph is cut, best first."""


def chunk_text(
    text: str, media_type: str, *, max_chars: int = MAX_CHARS, min_chars: int = MIN_CHARS
) -> list[str]:
    """Cut ``text`` into pieces of 1 to ``max_chars`` characters.

    Nothing but white space between pieces is lost, nothing is repeated. Paragraphs stay whole when
    they fit; in Markdown fenced code does too, and a heading stays with what follows it. A text
    without visible characters gives no piece.
    """
    markdown = media_type == MARKDOWN
    pieces = (
        piece
        for block in _blocks(text.replace("\r\n", "\n"), markdown=markdown)
        for piece in _cut(block, max_chars)
    )
    return list(_pack(pieces, max_chars, min_chars if markdown else max_chars))


def _blocks(text: str, *, markdown: bool) -> Iterator[str]:
    """Paragraphs, headings and fenced code, stripped and not empty."""
    block: list[str] = []
    fence = ""
    for line in text.split("\n"):
        opens = _FENCE.match(line) if markdown else None
        starts_block = not fence and markdown and _HEADING.match(line) is not None
        if starts_block or (not fence and not line.strip()):
            yield from _joined(block)
            block = []
        block.append(line)
        if opens is not None and fence in ("", opens[1]):
            fence = "" if fence else opens[1]
    yield from _joined(block)


def _joined(lines: list[str]) -> Iterator[str]:
    block = "\n".join(lines).strip()
    if block:
        yield block


def _cut(block: str, max_chars: int) -> Iterator[str]:
    start = 0
    while len(block) - start > max_chars:
        end = _cut_position(block, start, start + max_chars)
        piece = block[start:end].strip()
        if piece:
            yield piece
        start = end
    rest = block[start:].strip()
    if rest:
        yield rest


def _cut_position(block: str, start: int, limit: int) -> int:
    """The best break in the second half of the window, else its end."""
    middle = start + (limit - start) // 2
    for mark in _BREAKS:
        found = block.rfind(mark, middle, limit)
        if found > start:
            return found + len(mark)
    return limit


def _pack(pieces: Iterable[str], max_chars: int, section_chars: int) -> Iterator[str]:
    chunk = ""
    for piece in pieces:
        opens_section = _is_heading(piece) and len(chunk) >= section_chars
        if chunk and not opens_section and len(chunk) + 2 + len(piece) <= max_chars:
            chunk = f"{chunk}\n\n{piece}"
            continue
        body, heading = _without_last_heading(chunk, len(piece), max_chars)
        if body:
            yield body
        chunk = f"{heading}\n\n{piece}" if heading else piece
    if chunk:
        yield chunk


def _without_last_heading(chunk: str, following: int, max_chars: int) -> tuple[str, str]:
    """Take a heading off a chunk's end, so that it goes with the text it announces."""
    body, _, last = chunk.rpartition("\n\n")
    if _is_heading(last) and "\n" not in last and len(last) + 2 + following <= max_chars:
        return body, last
    return chunk, ""


def _is_heading(piece: str) -> bool:
    return _HEADING.match(piece) is not None
