"""Moments and sizes of the API as people read them."""

from __future__ import annotations

import re
from datetime import datetime

UNITS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


def show_moment(text: str) -> str:
    """Return a moment to the second in this machine's time zone, as ``ls`` and ``date`` tell it; other text as it is."""
    if not _MOMENT.fullmatch(text):
        return text
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):
        return text


def show_size(count: int) -> str:
    """Return bytes in the largest unit of which there is one."""
    for name, unit in UNITS.items():
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
