"""What one used: tokens by day, beside what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse

from engines.services.people.usage import today, usage_rows, with_quota
from migrations_app.pages.base import PageView

DAYS = 14
FULL = 100.0
NO_LIMIT = "no limit"


@dataclass(frozen=True, slots=True)
class Day:
    """One day's tokens; ``percent`` of the busiest day shown, or of the quota where there is one."""

    day: date
    tokens_in: int
    tokens_out: int
    requests: int
    percent: float

    @property
    def tokens(self) -> int:
        """Return what counts against a quota."""
        return self.tokens_in + self.tokens_out


class UsageView(PageView):
    """The last two weeks, day by day."""

    title: ClassVar[str] = "Usage"
    section: ClassVar[str] = "settings"
    template_name: ClassVar[str] = "pages/settings/usage.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        person: Any = with_quota(User.objects.filter(pk=self.person.pk), today()).get()
        quota: int | None = person.tokens_allowed
        days = _days(self.person, quota)
        return self.render(
            {
                "days": days,
                "quota": quota,
                "today": days[0],
                "total": sum(day.tokens for day in days),
                "rate": settings.SAM_RATES["user"] or NO_LIMIT,
                "answers_at_once": settings.SAM_AT_ONCE["answers"] or NO_LIMIT,
            }
        )


def _days(user: User, quota: int | None) -> list[Day]:
    """Return every day of the span, also those on which nothing was asked; the newest first."""
    used = {row.day: row for row in usage_rows(DAYS).filter(user=user)}
    most = max((row.tokens_in + row.tokens_out for row in used.values()), default=0)
    whole = max(quota or most, 1)
    days = []
    for back in range(DAYS):
        day = today() - timedelta(days=back)
        row = used.get(day)
        counts = (row.tokens_in, row.tokens_out, row.requests) if row else (0, 0, 0)
        days.append(Day(day, *counts, min(FULL, FULL * (counts[0] + counts[1]) / whole)))
    return days
