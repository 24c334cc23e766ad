"""/plans/: what was planned and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from engines.services.people.roles import is_operator
from migrations_app.models import Plan
from migrations_app.pages.base import PageView
from migrations_app.pages.components import Link, paginate
from migrations_app.plans.titles import title_for
from migrations_app.plans.visibility import plans_visible_to
from migrations_app.states import MOVES

PER_PAGE = 25


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan in the list; without an address it has no page of its own here."""

    plan: Plan
    title: str
    href: str


def _row(plan: Plan, reader_id: int) -> PlanRow:
    opens = plan.kind in MOVES or reader_id in (plan.user_id, plan.created_by_id)
    href = reverse("plan", args=[plan.pk]) if opens else ""
    return PlanRow(plan, title_for(plan, reader_id), href)


class HistoryView(PageView):
    """One's own plans; operators see everybody's as well, without their content."""

    title: ClassVar[str] = "Plans"
    section: ClassVar[str] = "migrate"
    template_name: ClassVar[str] = "pages/wizard/history.html"
    part_name: ClassVar[str] = "pages/wizard/history_rows.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them, the newest first."""
        sees_all = is_operator(self.person)
        shows_all = sees_all and request.GET.get("of") == "all"
        rows = plans_visible_to(self.person).select_related("user", "base", "rolls_back")
        if not shows_all:
            rows = rows.filter(user=self.person)
        page = paginate(request, rows.order_by("-created_at", "id"), PER_PAGE)
        address = reverse("plans")
        tabs = [
            Link("Mine", address, is_current=not shows_all),
            Link("Everybody’s", f"{address}?of=all", is_current=shows_all),
        ]
        context = {
            "page": page,
            "rows": [_row(plan, self.person.pk) for plan in page],
            "tabs": tabs if sees_all else [],
            "shows_all": shows_all,
        }
        return self.render(context)
