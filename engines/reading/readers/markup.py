"""HTML as Markdown: its headings, paragraphs, lists, tables and code, without what only a browser needs."""

from __future__ import annotations

import codecs
import re
from collections import Counter

from selectolax.lexbor import LexborHTMLParser, LexborNode

from engines.exceptions import InvalidRequestError
from engines.reading.charsets import decode_named, find_codec, find_page_charset
from engines.reading.limits import MAX_NESTED_TAGS, MAX_OPTIONS
from engines.reading.result import Reading, Source, TextBuilder
from engines.reading.text import decode_text
from engines.runtimes.child.cpu_time import cpu_limit

_SKIPPED = frozenset(
    [
        "head",
        "script",
        "style",
        "template",
        "noscript",
        "svg",
        "math",
        "iframe",
        "object",
        "audio",
        "video",
        "canvas",
        "select",
        "button",
        "rt",
        "rp",
    ]
)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
_LAYING_OUT = frozenset({"table", "ul", "ol", "dl", "pre"})
_OPEN_ALONE = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "td",
        "th",
        "tr",
        "dt",
        "dd",
        "option",
        "optgroup",
        "tbody",
        "thead",
        "tfoot",
        "colgroup",
        "rp",
        "rt",
        "html",
        "head",
        "body",
    ]
)
"""Tags that hold nothing, or that the next of their kind closes."""
_RAW = frozenset({"script", "style", "textarea", "title"})
PARSE_CPU_SECONDS = 5.0
"""After which the process that reads is ended: 50 MB of a flat page take less than one."""
_TAGS = re.compile(r"<!---?>|<!--|--!?>|<(?P<sign>/?)(?P<name>[A-Za-z][A-Za-z0-9]*)")
"""``<!-->`` and ``<!--->`` are whole comments."""
_COMMENT, _COMMENT_ENDS = "<!--", ("-->", "--!>")
_FOREIGN = ("svg", "math")
"""In them, nothing is raw: ``<title>`` and ``<style>`` hold elements like others."""
TOO_DEEP = (
    f"Its HTML has more than {MAX_NESTED_TAGS} tags open in each other, which no page needs; save it anew, or as "
    "text."
)
TOO_MANY_OPTIONS = f"Its HTML has more than {MAX_OPTIONS} options to choose from, which no page needs; save it anew, or as text."
MAX_CELL_BLOCKS = 8
"""Paragraphs in a cell of a table; what has more lays out a page."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NOT_SHOWN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""A mark at the beginning is right, whatever the page says."""
_NEVER_NAMED = ("utf-16", "utf-32")
"""Who reads the name in single bytes reads no such page."""


def read(source: Source) -> Reading:
    """Read a page."""
    builder = TextBuilder()
    add_markup(builder, decode_page(source.content), with_title=True)
    return builder.build()


def add_markup(builder: TextBuilder, html: str, *, with_title: bool = False) -> None:
    """Add what a page says; its title too, where it has no heading of the first rank."""
    _require_flat(html)
    with cpu_limit(PARSE_CPU_SECONDS):
        tree = LexborHTMLParser(html)
    if with_title and tree.css_first("h1") is None:
        title = tree.css_first("title")
        builder.add_heading(1, title.text() if title is not None else "")
    if tree.root is not None:
        _Walk(builder).walk(tree.root)


def _require_flat(html: str) -> None:
    """Raise InvalidRequestError where tags are open in each other without end, before they are parsed.

    One pass over the text; what is left open counts as what the rest stands in.
    """
    depth, inside, options, open_tags = 0, "", 0, Counter[str]()
    for found in _TAGS.finditer(html):
        sign, name = found["sign"], (found["name"] or "").lower()
        if inside:
            # Of a comment, a script or a style nothing is a tag but its end.
            is_end = (
                found[0] in _COMMENT_ENDS if inside == _COMMENT else sign == "/" and name == inside
            )
            inside = "" if is_end else inside
        elif found[0] == _COMMENT:
            inside = _COMMENT
        elif name in _RAW and not any(open_tags[tag] for tag in _FOREIGN):
            inside = "" if sign == "/" else name
        elif sign == "/":
            # One that closes nothing is passed over by a parser too.
            closed = 1 if open_tags[name] else 0
            depth, open_tags[name] = depth - closed, open_tags[name] - closed
        elif name and name not in _OPEN_ALONE:
            depth, open_tags[name] = depth + 1, open_tags[name] + 1
        options += name == "option"
        if depth > MAX_NESTED_TAGS or options > MAX_OPTIONS:
            raise InvalidRequestError(TOO_DEEP if depth > MAX_NESTED_TAGS else TOO_MANY_OPTIONS)


def decode_page(content: bytes) -> str:
    """Return the text of a page in the encoding that it names, unless its bytes say otherwise."""
    named = "" if content.startswith(_MARKS) else find_page_charset(content)
    if named and not find_codec(named).startswith(_NEVER_NAMED):
        text = decode_named(content, named)
        if text is not None:
            return text
    return decode_text(content).text


class _Walk:
    """Goes through a tree without recursion, whatever its depth."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._words: list[str] = []
        self._seen = 0
        self._has_words = False
        """Whether one of the words that were seen is no white space."""
        self._prefix = ""
        self._level = 0
        self._is_code = False
        self._row: int | None = None
        self._is_line = False
        """Whether a row of a table is under way that is one line, paragraphs in its cells or not."""

    def walk(self, root: LexborNode) -> None:
        node: LexborNode | None = root
        while node is not None:
            below = self._enter(node)
            if below is not None:
                node = below
                continue
            while node is not None:
                self._leave(node)
                if node.next is not None:
                    node = node.next
                    break
                node = node.parent
        self._flush()

    def _enter(self, node: LexborNode) -> LexborNode | None:
        tag = str(node.tag)
        if tag == "-text":
            self._take(node.text_content or "")
            return None
        if tag in _SKIPPED or not tag[:1].isalpha() or _is_hidden(node):
            return None
        if tag == "br":
            self._words.append("\n")
        elif tag == "img":
            self._take(f" {node.attributes.get('alt') or ''} ")
        elif tag in ("td", "th"):
            # Looked at once for each cell, never all of a row for each.
            self._has_words = self._has_words or any(map(str.strip, self._words[self._seen :]))
            self._seen = len(self._words)
            self._words.append(" | " if self._has_words else "")
        else:
            self._open(tag, is_line=tag == "tr" and _is_line(node))
        return node.child

    def _open(self, tag: str, *, is_line: bool) -> None:
        if tag in _HEADINGS or tag in _BLOCKS or tag == "pre":
            self._end_block()
        self._level = _HEADINGS.get(tag, self._level)
        if tag == "li":
            self._prefix = "- "
        elif tag == "tr":
            self._row = 0 if self._row is None else self._row
            self._is_line = is_line
        elif tag == "table":
            self._row = None
        elif tag == "pre":
            self._is_code = True

    def _leave(self, node: LexborNode) -> None:
        tag = str(node.tag)
        if tag == "pre":
            self._builder.add_code("".join(self._words))
            self._words, self._is_code = [], False
            self._seen, self._has_words = 0, False
        elif tag in _HEADINGS:
            self._flush()
            self._level = 0
        elif tag in _BLOCKS:
            self._is_line = self._is_line and tag != "tr"
            self._end_block()
            if tag == "table":
                self._row = None

    def _end_block(self) -> None:
        if self._is_line:
            self._words.append(" ")
        else:
            self._flush()

    def _take(self, text: str) -> None:
        self._words.append(text if self._is_code else re.sub(r"\s+", " ", text))

    def _flush(self) -> None:
        if self._is_code:
            return
        words = "".join(self._words).strip()
        self._words, self._seen, self._has_words = [], 0, False
        if not words:
            return
        if self._level:
            self._builder.add_heading(self._level, words)
        elif self._row is not None:
            add = self._builder.add_line if self._row else self._builder.add_block
            add(" ".join(words.split()))
            self._row += 1
        elif self._prefix:
            self._builder.add_block(self._prefix + words)
        else:
            self._builder.add_block(words)
        self._prefix = ""


def _is_hidden(node: LexborNode) -> bool:
    style = node.attributes.get("style") or ""
    return "hidden" in node.attributes or _NOT_SHOWN.search(style) is not None


def _is_line(row: LexborNode) -> bool:
    """Whether a row of a table is one of data, as programs write them with paragraphs in its cells.

    One with a single cell, or with headings, lists or tables in a cell, lays out a page instead. Each is read up to
    the first of these, so tables in tables are not read again at each depth.
    """
    cells = blocks = 0
    node = row.child
    while node is not None:
        tag = str(node.tag)
        cells += tag in ("td", "th")
        blocks = 0 if tag in ("td", "th") else blocks + (tag in _BLOCKS)
        if tag in _LAYING_OUT or tag in _HEADINGS or blocks > MAX_CELL_BLOCKS:
            return False
        node = node.child or _next_within(node, row)
    return cells > 1


def _next_within(node: LexborNode, root: LexborNode) -> LexborNode | None:
    """Return what follows a node that has been read, inside of another."""
    at: LexborNode | None = node
    while at is not None and at.mem_id != root.mem_id:
        if at.next is not None:
            return at.next
        at = at.parent
    return None
