"""What stands in a text for programs alone: pictures and other files, written in letters (base64)."""

from __future__ import annotations

import re

MIN_CHARS = 200
"""Shorter ones are tokens, keys and examples, which people write about."""
_EMBEDDED = re.compile(
    rf"(;base64,)[\w+/=%-]{{{MIN_CHARS},}}+"
    rf"|(ENCODING=(?:B|BASE64)\b[^:\n]{{0,200}}:)[ \t]*[\w+/=]{{{MIN_CHARS},}}+"
    rf'|(encoding="base64"[^<>\n]{{0,200}}>)[\w+/=\s]{{{MIN_CHARS},}}+',
    re.ASCII | re.IGNORECASE,
)
"""Within an address, as Markdown and styles have them; in address books and calendars; in XML."""


def leave_embedded(text: str) -> str:
    """Return a text with a sign for each file that is written in it: its letters are thousands of passages of noise."""
    return _EMBEDDED.sub(lambda found: f"{found[found.lastindex or 0]}…", text)
