"""Home: what answers me, what is running, what needs me."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from engines.models import CatalogModel, Document
from engines.services.catalog.entries import is_offered
from engines.services.people.roles import is_operator
from migrations_app.indicator import (
    AdapterWarning,
    EngineIndicator,
    IndicatorStatus,
    adapter_warning_of,
    indicator_of,
)
from migrations_app.models import Plan
from migrations_app.pages.badge import badge_address
from migrations_app.pages.base import PageView
from migrations_app.pages.navigation import PLACES, find_place
from migrations_app.pages.plans import PlanCard, card_of, plans_of
from migrations_app.plans.housekeeping import retained_plans
from migrations_app.signs import Tone
from migrations_app.states import PlanKind, PlanStatus

MAX_PLANS = 20
"""Open plans that the page shows; who has more has a list of them."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that waits for the person: why, and where to go."""

    key: str
    title: str
    text: str
    tone: Tone
    icon: str
    action: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class WayBack:
    """The last move, as long as it may be taken back."""

    to: str
    until: datetime
    href: str


class HomeView(PageView):
    """The page of a person; what changes by itself is asked for again when its stream says so."""

    title: ClassVar[str] = "Home"
    section: ClassVar[str] = "home"
    template_name: ClassVar[str] = "pages/home/home.html"
    part_name: ClassVar[str] = "pages/home/live.html"
    follows_plans: ClassVar[bool] = True

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        indicator = indicator_of(self.person)
        warning = adapter_warning_of(indicator, self.person)
        plans = _open_plans(self.person)
        return self.render(
            {
                "indicator": indicator,
                "hears_all": is_operator(self.person) and any(map(self._is_for_another, plans)),
                "running": [card for card in plans if card.is_running],
                "scheduled": [card for card in plans if card.starts_by_itself],
                "needs": list(_needs(self.person, indicator, warning, plans)),
                "way_back": _way_back(self.person),
                "invitations": [place for place in PLACES if place.invitation],
                "knowledge": find_place("knowledge"),
                "has_documents": Document.objects.filter(base__owner=self.person).exists(),
                "badge": request.build_absolute_uri(badge_address(self.person)),
                "home_address": request.build_absolute_uri("/"),
            }
        )

    def _is_for_another(self, card: PlanCard) -> bool:
        """Whether the person's own stream says nothing of a plan that they made."""
        return card.plan.user_id not in (None, self.person.pk)


def _open_plans(person: User) -> list[PlanCard]:
    waiting = (PlanStatus.PENDING, PlanStatus.IN_PROGRESS)
    rows = plans_of(person.pk).filter(status__in=waiting).prefetch_related("steps")
    return [card_of(plan, person.pk) for plan in rows.order_by("-created_at")[:MAX_PLANS]]


def _needs(
    person: User,
    indicator: EngineIndicator,
    warning: AdapterWarning | None,
    plans: Sequence[PlanCard],
) -> Iterator[Need]:
    """List what waits for the person, the gravest first."""
    yield from _about_engine(person, indicator)
    for card in plans:
        if card.waits:
            text = next(step.error for step in card.steps if step.error) or "An operator must look."
            yield _plan_need(card, "Stopped: " + card.title, text, Tone.WARNING, "warning")
    for card in plans:
        is_asked = card.plan.status == PlanStatus.PENDING and not card.starts_by_itself
        if is_asked and card.plan.user_id == person.pk:
            text = (
                "The plan is made and nothing has changed yet. Look at it, then start or drop it."
            )
            yield _plan_need(card, card.title + "?", text, Tone.INFO, "question")
    if warning is not None:
        yield Need(
            "adapters",
            warning.look.label,
            warning.sentence,
            Tone.WARNING,
            "adapter",
            "Your adapters",
            reverse("settings-adapters"),
        )


def _plan_need(card: PlanCard, title: str, text: str, tone: Tone, icon: str) -> Need:
    return Need(f"plan-{card.plan.pk}", title, text, tone, icon, "Look at the plan", card.href)


def _about_engine(person: User, indicator: EngineIndicator) -> Iterator[Need]:
    engine, action, href = indicator.engine, "Choose another", reverse("migrate")
    if engine is None:
        return
    if indicator.status in (IndicatorStatus.UNAVAILABLE, IndicatorStatus.REPLACED):
        text = (
            f"{indicator.sentence} An operator can start its host; you can move to another engine."
        )
        yield Need("host", "Your engine is not there", text, Tone.DANGER, "error", action, href)
    row = CatalogModel.objects.get(model_id=engine.model_id)
    if engine.source == "own" and not is_offered(person, row):
        text = (
            f"{engine.display_name} goes on answering you, but it is not offered any more. Move while "
            "you can choose the time; there is no way to come back to it by a new plan."
        )
        yield Need("retired", "Your engine is retiring", text, Tone.WARNING, "clock", action, href)


def _way_back(person: User) -> WayBack | None:
    kept = retained_plans().filter(user=person, kind=PlanKind.MIGRATE).select_related("from_engine")
    plan: Plan | None = kept.order_by("-finished_at").first()
    if plan is None or plan.retention_until is None or plan.from_engine is None:
        return None
    card = card_of(plan, person.pk)
    return WayBack(plan.from_engine.display_name, plan.retention_until, card.href)
