"""Word documents (.docx, .docm): headings by their styles; macros and pictures are left where they are."""

from __future__ import annotations

import io
from typing import Any
from xml.parsers.expat import ExpatError

import mammoth

from engines.exceptions import InvalidRequestError
from engines.reading.kinds import ending_of
from engines.reading.office.drawn import add_drawn
from engines.reading.office.word_parts import STYLE, rewrite_word
from engines.reading.office.word_styles import LEVELS
from engines.reading.package import DAMAGED, Package
from engines.reading.readers.enclosed import add_enclosed
from engines.reading.readers.markup import add_markup
from engines.reading.result import Reading, Source, TextBuilder

_MAIN = "word/document.xml"
_CHUNKS = frozenset({".mht", ".mhtml", ".html", ".htm", ".xhtml", ".txt"})
"""What programs put beside a document to have Word take it in as a part of the text."""
_LEVELS = range(1, LEVELS + 1)
_STYLES = "\n".join(
    [
        "p[style-name='Title'] => h1:fresh",
        *(f"p.{STYLE}{level} => h{min(level, 6)}:fresh" for level in _LEVELS),
        *(f"p.Heading{level} => h{min(level, 6)}:fresh" for level in _LEVELS),
        # As Apple's program writes them.
        "p.Heading => h1:fresh",
        "p[style-name='Heading'] => h1:fresh",
        *(f"p:unordered-list({depth}) => ul > li:fresh" for depth in _LEVELS),
        # Numbers are written out before; where none is known, a wrong one would be worse.
        *(f"p:ordered-list({depth}) => ul > li:fresh" for depth in _LEVELS),
    ]
)
"""All that is made of styles: mammoth tries each of its own for every paragraph and every run."""


def read(source: Source) -> Reading:
    """Read a document."""
    package = Package(source.content)
    package.require_plain_xml()
    main = package.find_main(_MAIN)
    builder = TextBuilder()
    add_markup(builder, _convert(rewrite_word(package, main)))
    add_drawn(builder, package, main)
    for part in package.relations(main).values():
        if ending_of(part) in _CHUNKS and package.has(part):
            name = part.rpartition("/")[2]
            add_enclosed(builder, Source(name, package.read(part), source.depth + 1))
    return builder.build()


def _convert(document: bytes) -> str:
    try:
        page = mammoth.convert_to_html(
            io.BytesIO(document),
            style_map=_STYLES,
            include_default_style_map=False,
            convert_image=_leave_picture,
        )
    except (ExpatError, LookupError, ValueError, TypeError, AttributeError) as error:
        # It may be attached to a mail, which is to be read all the same.
        raise InvalidRequestError(DAMAGED) from error
    return str(page.value)


def _leave_picture(_image: Any) -> list[Any]:
    return []
