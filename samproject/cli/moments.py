"""Moments of the API as people read them."""

from __future__ import annotations

import re
from datetime import datetime

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


def show_moment(text: str) -> str:
    """Return a moment to the second in this machine's time zone, as ``ls`` and ``date`` tell it; other text as it is."""
    if not _MOMENT.fullmatch(text):
        return text
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):
        return text
