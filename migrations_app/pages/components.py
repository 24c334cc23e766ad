"""What components are given: small typed things that a view makes and a template tag shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from migrations_app.signs import LOOKS, Tone
from migrations_app.states import StepStatus

PER_PAGE = 50
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Link:
    """A tab, or one crumb of the way to a page; ``count`` is shown beside a tab's label."""

    label: str
    href: str
    icon: str = ""
    is_current: bool = False
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One page of a guided way through several; without an address it cannot be gone to now."""

    label: str
    href: str = ""
    is_done: bool = False
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """One thing to know, with its sign; ``items`` are its particulars, each a line."""

    title: str
    text: str = ""
    icon: str = "info"
    tone: Tone = Tone.NEUTRAL
    items: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of a plan as a person reads it; ``percent`` is 0 to 100, None while it is not known."""

    name: str
    status: str
    percent: float | None = None
    note: str = ""
    error: str = ""
    kind: str = ""
    """Of the step, so that a page that is kept up finds it; empty for a sample."""

    @property
    def fraction(self) -> float | None:
        """Return how far it is, from 0 to 1; None while that is not known."""
        return None if self.percent is None else self.percent / 100

    @property
    def is_running(self) -> bool:
        """Whether a bar is shown."""
        return self.status == StepStatus.IN_PROGRESS

    @property
    def css(self) -> str:
        """Return the class of its line."""
        if self.status == StepStatus.COMPLETED:
            return "is-done"
        return "is-waiting" if self.status == StepStatus.PENDING else ""

    @property
    def label(self) -> str:
        """Return its status in words."""
        return LOOKS[self.status].label

    @property
    def tone(self) -> Tone:
        """Return the tone of its sign."""
        return LOOKS[self.status].tone

    @property
    def icon(self) -> str:
        """Return its sign; a step that waits shows its number instead."""
        if self.status == StepStatus.COMPLETED:
            return "check"
        return "" if self.status == StepStatus.PENDING else LOOKS[self.status].icon


def paginate(request: HttpRequest, rows: QuerySet[Row], per_page: int = PER_PAGE) -> Page[Row]:
    """Return the page of a list that ``?page=`` asks for; the nearest one there is for nonsense."""
    return Paginator(rows, per_page).get_page(request.GET.get("page"))
