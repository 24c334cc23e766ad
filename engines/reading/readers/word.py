"""Word documents (.docx, .docm): headings by their styles; macros and pictures are left where they are."""

from __future__ import annotations

import io
from typing import Any

import mammoth

from engines.reading.package import Package
from engines.reading.readers.equations import with_equations
from engines.reading.readers.markup import add_markup
from engines.reading.result import Reading, Source, TextBuilder

_STYLES = "p[style-name='Title'] => h1:fresh"


def read(source: Source) -> Reading:
    """Read a document."""
    package = Package(source.content)
    package.require_plain_xml()
    page = mammoth.convert_to_html(
        io.BytesIO(with_equations(package, source.content)),
        style_map=_STYLES,
        convert_image=_leave_picture,
    )
    builder = TextBuilder()
    add_markup(builder, str(page.value))
    return builder.build()


def _leave_picture(_image: Any) -> list[Any]:
    return []
