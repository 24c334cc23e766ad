"""How texts were cut before their passages knew where they stand: by characters.

An answer that cites such a passage names the digest of its words alone. Whoever looks for it in a text that
was cut anew since, or restored from a backup, cuts the text once more as it was cut then.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from engines.services.knowledge.cutting.blocks import MARKDOWN

MAX_CHARS = 900

MIN_CHARS = 300
"""A new Markdown section opened a new passage once the last one had at least this much."""

_HEADING = re.compile(r"#{1,6}\s")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_BREAKS = ("\n", ". ", "! ", "? ", "; ", ", ", " ", "\t")
"""Where an overlong paragraph is cut, best first."""


def find_former_passage(text: str, media_type: str, content_hash: bytes) -> str:
    """Return the passage with this digest that a text had; empty when it had none."""
    former = cut_by_characters(text, media_type)
    return next(
        (one for one in former if hashlib.sha256(one.encode()).digest() == content_hash), ""
    )


def cut_by_characters(text: str, media_type: str) -> list[str]:
    """Cut a text as it was cut before."""
    markdown = media_type == MARKDOWN
    pieces = (
        piece
        for block in _blocks(text.replace("\r\n", "\n"), markdown=markdown)
        for piece in _cut(block, MAX_CHARS)
    )
    return list(_pack(pieces, MAX_CHARS, MIN_CHARS if markdown else MAX_CHARS))


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
