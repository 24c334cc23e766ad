"""What others wrote (a library, a server, a file), fit to be quoted in a sentence for people."""

from __future__ import annotations


def make_printable(text: object, limit: int) -> str:
    """Return at most ``limit`` characters on one line: control characters could move a terminal's cursor."""
    return "".join(sign if sign.isprintable() else " " for sign in str(text)).strip()[:limit]
