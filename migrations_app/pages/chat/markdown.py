"""What an engine wrote, as HTML that can do no harm.

An engine repeats what documents and other people told it, so its text is a stranger's. Two walls: the
Markdown reader takes no HTML, and what it makes is cleaned by a list of what may be there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import takewhile

import nh3
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

LinkOf = Callable[[int], str]
"""Where a citation leads, by its number."""

TAGS = frozenset(
    [
        "a",
        "blockquote",
        "br",
        "code",
        "del",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "strong",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)
ATTRIBUTES = {
    "a": {"href", "title", "class"},
    "code": {"class"},
    "ol": {"start"},
}
SCHEMES = frozenset({"http", "https", "mailto"})
_ELSEWHERE = tuple(f"{scheme}:" for scheme in sorted(SCHEMES))
_COLUMN = re.compile(r"(?<!\\)\|")
_BELOW_HEAD = re.compile(r"[|:\- ]*-[|:\- ]*")
_CITED = re.compile(r"\[(\d{1,2})\]")


def _make_reader(*, breaks: bool) -> MarkdownIt:
    rules = {"html": False, "breaks": breaks, "maxNesting": 30}
    reader = MarkdownIt("commonmark", rules).enable(["table", "strikethrough"])
    reader.core.ruler.push("leave_out_targets", _leave_out_targets)
    return reader


def _leave_out_targets(state: StateCore) -> None:
    """Leave of a picture and of a link that leads nowhere from here what they say."""
    for token in state.tokens:
        if token.type == "inline" and token.children:
            token.children = list(_without_targets(token.children))


def _without_targets(parts: Sequence[Token]) -> Iterator[Token]:
    leads = True
    for position, part in enumerate(parts):
        if part.type == "image":
            # Its address would tell its server who reads what.
            yield _text(part, _said(part, keeps_lines=False))
        elif part.type == "link_open":
            says = _says_something(parts[position + 1 :])
            # A file beside the document is none of SAM's pages, and a part of a page has no name here.
            leads = says and str(part.attrGet("href")).lower().startswith(_ELSEWHERE)
            if leads:
                yield part
        elif part.type != "link_close" or leads:
            yield part


def _says_something(rest: Sequence[Token]) -> bool:
    inside = takewhile(lambda part: part.type != "link_close", rest)
    return any(
        (_said(part, keeps_lines=False) if part.type == "image" else part.content).strip()
        for part in inside
    )


_READER = _make_reader(breaks=True)
_DOCUMENT_READER = _make_reader(breaks=False)
"""In a file a line ends where its writer's window did."""


def render_markdown(
    text: str, cited: Collection[int] = (), link_of: LinkOf | None = None
) -> SafeString:
    """Return an answer as HTML; ``[2]`` leads to the passage it cites, if that is one of ``cited``."""
    tokens = _READER.parse(text)
    if link_of is not None and cited:
        _link_citations(tokens, cited, link_of)
    return _clean(_READER.renderer.render(tokens, _READER.options, {}))


def render_document(text: str, *, keeps_lines: bool = False) -> SafeString:
    """Return the Markdown of a document as HTML; ``keeps_lines`` where its lines are rows that were read."""
    reader = _READER if keeps_lines else _DOCUMENT_READER
    return _clean(reader.renderer.render(_parse_part(reader, text), reader.options, {}))


def plain_text(text: str, *, keeps_lines: bool = False) -> str:
    """Return what the Markdown of a document says without its marks; each block and row on a line of its own."""
    lines: list[str] = []
    cells: list[str] | None = None
    mark = ""
    for token in _parse_part(_DOCUMENT_READER, text):
        if token.type == "tr_open":
            cells = []
        elif token.type == "tr_close" and cells is not None:
            lines.append(" | ".join(cells))
            cells = None
        elif token.type == "list_item_open":
            mark = f"{token.info}{token.markup} " if token.info else "• "
        elif token.type == "inline" and cells is not None:
            cells.append(_said(token, keeps_lines=False))
        elif token.type in ("inline", "fence", "code_block"):
            lines.append(mark + _said(token, keeps_lines=keeps_lines))
            mark = ""
    return "\n".join(lines)


def _parse_part(reader: MarkdownIt, text: str) -> list[Token]:
    """Return the tokens of a part of a document, which may begin within a table."""
    rows = _rows_without_head(text)
    columns = max(map(_count_columns, rows), default=0)
    if not columns:
        return reader.parse(text)
    tokens = reader.parse(f"{'| ' * columns}|\n{'|---' * columns}|\n{text}")
    kinds = [token.type for token in tokens]
    if "thead_close" not in kinds:
        return reader.parse(text)
    return tokens[: kinds.index("thead_open")] + tokens[kinds.index("thead_close") + 1 :]


def _rows_without_head(text: str) -> list[str]:
    """Return the rows that a text begins with where the head of their table is in the part before."""
    rows = list(takewhile(bool, map(str.strip, text.split("\n"))))
    begins_with_row = rows and rows[0].startswith("|") and rows[0].endswith("|")
    has_head = any(map(_BELOW_HEAD.fullmatch, rows[:2]))
    return rows if begins_with_row and not has_head else []


def _count_columns(row: str) -> int:
    return len(_COLUMN.findall(row)) + 1 - row.startswith("|") - row.endswith("|")


def _said(token: Token, *, keeps_lines: bool) -> str:
    """Return the text of a block without what marks it."""
    if token.children is None:
        return token.content.rstrip("\n")
    breaks = {"softbreak": "\n" if keeps_lines else " ", "hardbreak": "\n"}
    return "".join(breaks.get(child.type, child.content) for child in token.children)


def _clean(html: object) -> SafeString:
    cleaned = nh3.clean(
        str(html),
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        url_schemes=set(SCHEMES),
        link_rel="noopener noreferrer nofollow",
    )
    return SafeString(cleaned)


def _link_citations(tokens: Sequence[Token], cited: Collection[int], link_of: LinkOf) -> None:
    for token in tokens:
        if token.type == "inline" and token.children:
            token.children = [
                part
                for child in token.children
                for part in (_cut(child, cited, link_of) if child.type == "text" else (child,))
            ]


def _cut(token: Token, cited: Collection[int], link_of: LinkOf) -> Iterator[Token]:
    """Yield a text's parts, each citation as a link."""
    end = 0
    for found in _CITED.finditer(token.content):
        number = int(found[1])
        if number not in cited:
            continue
        yield _text(token, token.content[end : found.start()])
        attributes = {"href": link_of(number), "class": "cited"}
        yield Token("link_open", "a", 1, attrs=dict(attributes))
        yield _text(token, str(number))
        yield Token("link_close", "a", -1)
        end = found.end()
    yield _text(token, token.content[end:])


def _text(like: Token, content: str) -> Token:
    return Token("text", "", 0, content=content, level=like.level)
