"""Finding engines in a large catalog: every filter and order is the database's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, NullIf
from django_stubs_ext import WithAnnotations

from engines.fit.engine_need import GUESS_FACTOR
from engines.fit.placement import room_of
from engines.models import (
    CatalogModel,
    CopyStatus,
    Host,
    HostStatus,
    ModelCopy,
    ModelRole,
)
from engines.services.catalog.capabilities import Ability, ability_filter
from engines.services.catalog.fit import machine_of
from engines.services.catalog.search.languages import speaks

GB = 10**9


class Order(StrEnum):
    """In which order engines are listed."""

    BEST = "best"
    """Recommended ones first, then those that some host has, then by name."""
    NAME = "name"
    SIZE = "size"
    SPEED = "speed"
    NEWEST = "newest"


SIZES: dict[str, tuple[int, int | None]] = {
    "tiny": (0, 2 * GB),
    "small": (2 * GB, 6 * GB),
    "medium": (6 * GB, 15 * GB),
    "large": (15 * GB, 40 * GB),
    "huge": (40 * GB, None),
}
"""Bytes of the file, from and below."""

_ORDERS: dict[Order, tuple[F | str | object, ...]] = {
    Order.BEST: ("-recommended", "-is_held", "display_name", "model_id"),
    Order.NAME: ("display_name", "model_id"),
    Order.SIZE: (F("size").asc(nulls_last=True), "display_name", "model_id"),
    Order.SPEED: (F("speed").desc(nulls_last=True), "display_name", "model_id"),
    Order.NEWEST: ("-created_at", "model_id"),
}


@dataclass(frozen=True, slots=True)
class LibraryFilter:
    """What is looked for; what is empty is not asked."""

    words: str = ""
    role: str = ModelRole.CHAT
    family: str = ""
    licence: str = ""
    language: str = ""
    ability: str = ""
    size: str = ""
    fits: bool = False
    """By the size of its file; an engine's own judgement counts its context as well."""
    downloaded: bool = False
    order: Order = Order.BEST


def search_words(rows: QuerySet[CatalogModel], words: str) -> QuerySet[CatalogModel]:
    """Keep the models that have every word in name, family, licence or a tag."""
    for word in words.split():
        rows = rows.filter(
            Q(model_id__icontains=word)
            | Q(display_name__icontains=word)
            | Q(model_family__icontains=word)
            | Q(licence__icontains=word)
            | Q(tags__icontains=word)
        )
    return rows


class Held(TypedDict):
    """What ``with_held`` adds to a model."""

    is_held: bool


def with_held(rows: QuerySet[CatalogModel]) -> QuerySet[WithAnnotations[CatalogModel, Held]]:
    """Add ``is_held``: whether some host has the current revision."""
    return rows.annotate(is_held=_held())


def _held() -> Exists:
    copies = ModelCopy.objects.filter(
        revision=OuterRef("current_revision"), status=CopyStatus.DOWNLOADED
    )
    return Exists(copies)


def search_library(rows: QuerySet[CatalogModel], wanted: LibraryFilter) -> QuerySet[CatalogModel]:
    """Return the rows that are looked for, in the order that is asked for, for ``load_page``.

    Only keys are read: sorting whole rows of a large catalog takes several times as long.
    """
    found = search_words(rows.filter(role=wanted.role), wanted.words).alias(
        is_held=_held(),
        size=Coalesce(NullIf("current_revision__file_size", 0), NullIf("file_size", 0)),
    )
    for value, condition in (
        (wanted.family, Q(model_family=wanted.family)),
        (wanted.licence, Q(licence=wanted.licence)),
        (wanted.downloaded, Q(is_held=True)),
    ):
        if value:
            found = found.filter(condition)
    if wanted.ability:
        found = found.filter(ability_filter(Ability(wanted.ability)))
    if wanted.language:
        found = found.filter(speaks(wanted.language))
    if wanted.size:
        least, below = SIZES[wanted.size]
        found = found.filter(size__gte=least)
        found = found if below is None else found.filter(size__lt=below)
    if wanted.fits:
        found = found.filter(_fits_somewhere())
    if wanted.order == Order.SPEED:
        found = found.alias(speed=_speed())
    return found.order_by(*_ORDERS[wanted.order]).only("pk")  # type: ignore[arg-type]


def load_page(page: Iterable[CatalogModel]) -> list[CatalogModel]:
    """Return a few rows with all that is shown of them, in their order."""
    keys = [model.pk for model in page]
    rows = CatalogModel.objects.select_related("current_revision", "embedding_model").in_bulk(keys)
    return [rows[key] for key in keys if key in rows]


def _fits_somewhere() -> Q:
    rooms = [room_of(machine_of(host)) for host in Host.objects.filter(status=HostStatus.ACTIVE)]
    most = max((room.memory + room.vram for room in rooms), default=0)
    return Q(size=None) | Q(size__lte=int(most / GUESS_FACTOR)) | ~Q(remote_name="")


def _speed() -> Subquery:
    copies = ModelCopy.objects.filter(revision=OuterRef("current_revision")).order_by()
    fastest = copies.values("revision").annotate(fastest=Max("tokens_per_second"))
    return Subquery(fastest.values("fastest"))
