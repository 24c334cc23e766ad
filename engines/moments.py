"""Times in sentences, as the pages write them; a sentence is kept, mailed and read in every zone."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.dateformat import format as format_date

DAY = "j M Y"
MOMENT = f"{DAY}, H:i T"


def day_in_words(moment: datetime) -> str:
    """Return the day of a moment in UTC, such as 3 Mar 2026."""
    return format_date(moment.astimezone(UTC), DAY)


def moment_in_words(moment: datetime) -> str:
    """Return a moment in UTC, such as 3 Mar 2026, 09:30 UTC."""
    return format_date(moment.astimezone(UTC), MOMENT)
