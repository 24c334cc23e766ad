"""/engines/: the library, searched, filtered and sorted by the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from engines.models import CatalogModel, ModelRole
from engines.services.catalog.capabilities import Ability
from engines.services.catalog.search.languages import LANGUAGES
from engines.services.catalog.search.library import (
    SIZES,
    LibraryFilter,
    Order,
    load_page,
    search_library,
)
from engines.services.people.roles import is_curator, is_operator
from migrations_app.library import catalog_shown_to
from migrations_app.pages.base import PageView
from migrations_app.pages.components import paginate
from migrations_app.pages.engines.cards import cards_for
from migrations_app.pages.engines.parts import SECTION, tabs_for, text_of
from migrations_app.pages.forms import PageForm

PER_PAGE = 24
MAX_CHOICES = 200
"""Families, and licences, that a list offers; what it lacks is found by its words."""
SIZE_LABELS = {
    "tiny": "Up to 2 GB",
    "small": "2 to 6 GB",
    "medium": "6 to 15 GB",
    "large": "15 to 40 GB",
    "huge": "40 GB and more",
}
ABILITY_LABELS = {
    Ability.TOOLS: "Calls tools",
    Ability.JSON: "Keeps to JSON",
    Ability.THINKING: "Thinks first",
}
ORDER_LABELS = {
    Order.BEST: "Recommended first",
    Order.NAME: "By name",
    Order.SIZE: "Smallest first",
    Order.SPEED: "Fastest here first",
    Order.NEWEST: "Newest first",
}
Choices = list[tuple[str, str]]


def _choice(label: str, choices: Iterable[tuple[str, str]]) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False, choices=list(choices))


class FilterForm(PageForm):
    """What is looked for; a value that is none of the choices is not asked."""

    q = forms.CharField(required=False, max_length=200)
    order = _choice("Sorted", list(ORDER_LABELS.items()))
    can = _choice("Capability", [("", "Any"), *ABILITY_LABELS.items()])
    language = _choice("Language", [("", "Any"), *((one, one.title()) for one in LANGUAGES)])
    size = _choice("Size", [("", "Any"), *((one, SIZE_LABELS[one]) for one in SIZES)])
    role = _choice(
        "What for",
        [("", "Answering"), (ModelRole.EMBEDDING, "Embedding"), (ModelRole.RANK, "Ranking")],
    )
    fits = forms.BooleanField(label="Small enough for our hosts", required=False)
    downloaded = forms.BooleanField(label="Downloaded", required=False)

    MORE = ("family", "can", "language", "licence", "size", "role", "fits", "downloaded")

    def __init__(self, families: Choices, licences: Choices, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (("family", families), ("licence", licences)):
            self.fields[name] = _choice(name.title(), [("", "Any"), *choices])

    @property
    def more(self) -> list[forms.BoundField]:
        """Return the fields that lie behind "Filters"."""
        return [self[name] for name in self.MORE]

    def wanted(self) -> LibraryFilter:
        """Return what is looked for."""
        self.is_valid()
        asked = self.cleaned_data
        return LibraryFilter(
            words=text_of(asked.get("q")),
            role=asked.get("role") or ModelRole.CHAT,
            family=asked.get("family", ""),
            licence=asked.get("licence", ""),
            language=asked.get("language", ""),
            ability=asked.get("can", ""),
            size=asked.get("size", ""),
            fits=asked.get("fits", False),
            downloaded=asked.get("downloaded", False),
            order=Order(asked.get("order") or Order.BEST),
        )

    @property
    def set_count(self) -> int:
        """Return how many filters are set, the search and the order left out."""
        return sum(bool(self.cleaned_data.get(name)) for name in self.MORE)


class LibraryView(PageView):
    """The engines that a person may use; curators and operators see those as well that are not published."""

    title: ClassVar[str] = "Engines"
    section: ClassVar[str] = SECTION
    template_name: ClassVar[str] = "pages/engines/library.html"
    part_name: ClassVar[str] = "pages/engines/cards.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them."""
        shown = catalog_shown_to(self.person)
        families, licences = _choices(shown)
        form = FilterForm(families, licences, request.GET)
        wanted = form.wanted()
        page = paginate(request, search_library(shown, wanted), PER_PAGE)
        cards = cards_for(self.person, load_page(page))
        # By its size it was found; what needs more with its context is not called fitting.
        fitting = [card for card in cards if card.option.fits] if wanted.fits else cards
        context = {
            "form": form,
            "filters": form.set_count,
            "is_filtered": bool(form.set_count or wanted.words),
            "page": page,
            "cards": fitting,
            "left_out": len(cards) - len(fitting),
            "is_downloading": any(card.transfer for card in fitting),
            "is_staff_here": is_curator(self.person) or is_operator(self.person),
            "is_operator": is_operator(self.person),
            "tabs": tabs_for(self.person, "engines"),
        }
        return self.render(context)


def _choices(shown: QuerySet[CatalogModel]) -> tuple[Choices, Choices]:
    """Return the families and the licences there are."""
    pairs = shown.order_by().values_list("model_family", "licence").distinct()
    families, licences = set(), set()
    for family, licence in pairs[: MAX_CHOICES * MAX_CHOICES]:
        families.add(family)
        licences.add(licence)
    return _offered(families), _offered(licences)


def _offered(values: set[str]) -> Choices:
    return [(value, value) for value in sorted(values - {""})[:MAX_CHOICES]]
