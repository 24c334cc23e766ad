"""A page before it is parsed: its bytes as text, XML as HTML writes it, and nothing open in each other without end."""

from __future__ import annotations

import codecs
import html
import re
from collections import Counter

from engines.exceptions import InvalidRequestError
from engines.reading.charsets import decode_named, find_codec, find_page_charset
from engines.reading.limits import MAX_NESTED_TAGS, MAX_OPTIONS
from engines.reading.text import Decoded, decode_text

_VOID = frozenset(
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
    ]
)
"""Tags of HTML that hold nothing and need no end."""
_OPEN_ALONE = _VOID.union(
    [
        "a",
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
_SUBSET = re.compile(
    r"((?:\s|<\?[^>]{0,400}>|<!--(?:[^-]|-(?!->))*+-->)*+<!DOCTYPE[^<>\[]{0,400})\[[^\]]{0,20000}\]",
    re.IGNORECASE,
)
"""What XML declares before a page; HTML knows no such thing and would show it."""
_EMPTY = re.compile(
    r"""<([A-Za-z][\w:.-]{0,60}+)((?:[^<>"'/]|/(?!>)|"[^"]{0,4000}+"|'[^']{0,4000}+')*+)/>"""
)
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
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""A mark at the beginning is right, whatever the page says."""
_NEVER_NAMED = ("utf-16", "utf-32")
"""Who reads the name in single bytes reads no such page."""


def decode_page(content: bytes) -> Decoded:
    """Return the text of a page in the encoding that it names, unless its bytes say otherwise."""
    named = "" if content.startswith(_MARKS) else find_page_charset(content)
    if named and not find_codec(named).startswith(_NEVER_NAMED):
        text = decode_named(content, named)
        if text is not None:
            return Decoded(text)
    return decode_text(content)


def expand_xml(page: str) -> str:
    """Return a page in XML as HTML writes it: elements that are empty have an end, and raw text is escaped."""
    declared = _SUBSET.match(page)
    bare = declared[1] + page[declared.end() :] if declared else page
    first, *raw = bare.split("<![CDATA[")
    for part in raw:
        words, _, rest = part.partition("]]>")
        first += html.escape(words) + rest
    return _EMPTY.sub(_expand_empty, first)


def _expand_empty(found: re.Match[str]) -> str:
    name = found[1]
    return found[0] if name.lower() in _VOID else f"<{name}{found[2]}></{name}>"


def require_flat(html: str) -> None:
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
