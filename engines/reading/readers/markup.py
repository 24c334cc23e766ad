"""HTML as Markdown: its headings, paragraphs, lists, tables and code, without what only a browser needs."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from engines.reading.column_names import are_told_apart, has_labels
from engines.reading.numerals import write_number
from engines.reading.readers.formulas import write_formula
from engines.reading.readers.page_source import decode_page, expand_xml, require_flat
from engines.reading.readers.rows import write_row
from engines.reading.result import Reading, Source, TextBuilder
from engines.runtimes.child.cpu_time import cpu_limit

_SKIPPED = frozenset(
    [
        "head",
        "script",
        "style",
        "template",
        "noscript",
        "title",
        "desc",
        "defs",
        "metadata",
        "datalist",
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
        "text",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
"""Elements that are a block of their own; labels in a drawing (``text``) are too."""
_LAYING_OUT = frozenset({"table", "ul", "ol", "dl", "pre"})
PARSE_CPU_SECONDS = 5.0
"""After which the process that reads is ended: 50 MB of a flat page take less than one."""
MAX_CELL_BLOCKS = 8
"""Paragraphs in a cell of a table; what has more lays out a page."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NOT_SHOWN = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_OPENED_BY_SEARCH = "until-found"
"""What is folded away for the moment, and opened by who looks for a word of it."""
_NUMBER = re.compile(r"-?[0-9]{1,6}")
_NUMBERED = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_TYPED = frozenset({None, "", "text", "email", "tel", "number", "date", "url", "search"})
"""Fields of forms that show what was filled in."""
_XML_ENDINGS = (".xhtml", ".svg")
_KATEX, _KATEX_TWIN = "katex-mathml", "katex-html"
"""KaTeX writes each formula twice; the twin is made of single letters, and stands alone where nobody wanted the other."""


def read(source: Source) -> Reading:
    """Read a page."""
    builder = TextBuilder()
    decoded = decode_page(source.content)
    html = decoded.text
    is_xml = source.name.lower().endswith(_XML_ENDINGS) or html.lstrip().startswith("<?xml")
    add_markup(builder, expand_xml(html) if is_xml else html, with_title=True)
    return builder.build(note=decoded.note)


def add_markup(builder: TextBuilder, html: str, *, with_title: bool = False) -> None:
    """Add what a page says; its title too, where it has no heading of the first rank."""
    require_flat(html)
    with cpu_limit(PARSE_CPU_SECONDS):
        tree = LexborHTMLParser(html)
    if with_title and tree.css_first("h1") is None:
        title = tree.css_first("head title")
        builder.add_heading(1, title.text() if title is not None else "")
    if tree.root is not None:
        _Walk(builder).walk(tree.root)


class _Walk:
    """Goes through a tree without recursion, whatever its depth."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._words: list[str] = []
        self._seen = 0
        self._has_words = False
        """Whether one of the words that were seen is no white space."""
        self._prefix = ""
        self._counts: dict[int, int] = {}
        """The last number in each list that is numbered."""
        self._level = 0
        self._is_code = False
        self._row: int | None = None
        self._is_line = False
        """Whether a row of a table is under way that is one line, paragraphs in its cells or not."""
        self._cells: list[int] = []
        """Where in the words each cell of such a row begins."""
        self._is_head = False
        """Whether such a row is one of names, whatever its cells are."""
        self._heads = 0
        """So many of them are the names of columns or rows."""
        self._names: list[str] = []
        """Of the columns of a table, where a row says them."""
        self._spans = False
        """Whether a cell of a row is one of several columns, so that the others stand below no name of their own."""
        self._around: dict[int, list[str]] = {}
        """The names of the table that a table is in."""

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
        elif tag == "input" and node.attributes.get("type") in _TYPED:
            self._take(f" {node.attributes.get('value') or ''} ")
        elif tag == "math":
            self._take(write_formula(node))
            return None
        elif tag in ("td", "th"):
            # Looked at once for each cell, never all of a row for each.
            self._has_words = self._has_words or any(map(str.strip, self._words[self._seen :]))
            self._seen = len(self._words)
            self._words.append(" | " if self._has_words else "")
            self._cells += [len(self._words)] if self._is_line else []
            self._heads += tag == "th" or self._is_head
            self._spans = self._spans or _to_number(node.attributes.get("colspan"), 1) > 1
        else:
            self._open(node, tag)
        return node.child

    def _open(self, node: LexborNode, tag: str) -> None:
        if tag in _HEADINGS or tag in _BLOCKS or tag == "pre":
            self._end_block()
        self._level = _HEADINGS.get(tag, self._level)
        if tag == "li":
            self._prefix = self._mark_of(node)
        elif tag == "tr":
            self._row = 0 if self._row is None else self._row
            self._is_line = _is_line(node)
            self._cells, self._heads, self._spans = [], 0, False
            self._is_head = node.parent is not None and node.parent.tag == "thead"
        elif tag == "table":
            self._around[node.mem_id] = self._names
            self._row, self._names = None, []
        elif tag == "pre":
            self._is_code = True

    def _mark_of(self, item: LexborNode) -> str:
        """Return what stands before an item of a list: its number, where it has one."""
        ordered = item.parent
        if ordered is None or ordered.tag != "ol":
            return "- "
        said = ordered.attributes
        before = self._counts.get(ordered.mem_id, _to_number(said.get("start"), 1) - 1)
        number = _to_number(item.attributes.get("value"), before + 1)
        self._counts[ordered.mem_id] = number
        return f"{write_number(number, _NUMBERED.get(said.get('type') or '', ''))}. "

    def _leave(self, node: LexborNode) -> None:
        tag = str(node.tag)
        if tag == "pre" and self._is_code:
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
                self._row, self._names = None, self._around.pop(node.mem_id, self._names)

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
        row = self._tell_row() if self._row is not None and words else ""
        self._words, self._seen, self._has_words = [], 0, False
        if not words:
            return
        if self._level:
            self._builder.add_heading(self._level, words)
        elif self._row is not None:
            add = self._builder.add_line if self._row else self._builder.add_block
            add(row)
            self._row += 1
        elif self._prefix:
            self._builder.add_block(self._prefix + words)
        else:
            self._builder.add_block(words)
        self._prefix = ""

    def _tell_row(self) -> str:
        """Return what was read of a row, with the names of its columns where it has a cell for each."""
        ends = [at - 1 for at in self._cells[1:]] + [len(self._words)]
        parts = ("".join(self._words[at:end]) for at, end in zip(self._cells, ends, strict=False))
        cells = [" ".join(part.split()) for part in parts]
        is_head = self._heads == len(cells)
        if self._names and not is_head and not self._spans and len(cells) == len(self._names):
            return write_row(self._names, cells)
        if cells and is_head:
            is_told = are_told_apart(cells) and not (self._spans or has_labels(cells))
            self._names = cells if is_told else []
        return " ".join("".join(self._words).split())


def _to_number(said: str | None, otherwise: int) -> int:
    return int(said) if said and _NUMBER.fullmatch(said) else otherwise


def _is_hidden(node: LexborNode) -> bool:
    said = node.attributes
    is_closed = node.tag == "dialog" and "open" not in said
    is_twin = said.get("class") == _KATEX_TWIN and _is_formula(node.prev)
    is_hidden = "hidden" in said and said["hidden"] != _OPENED_BY_SEARCH
    return (
        is_closed or is_twin or is_hidden or _NOT_SHOWN.search(said.get("style") or "") is not None
    )


def _is_formula(node: LexborNode | None) -> bool:
    return node is not None and node.attributes.get("class") == _KATEX


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
