"""What moving many people would mean, before anything is made: by person, and summed up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from engines.models import AdapterStatus, CatalogModel, Chunk, LoraAdapter
from engines.services.catalog.entries import catalog_visible_to_each
from engines.services.engine_choice import with_engine_choice
from migrations_app.models import Plan
from migrations_app.states import PERSON_KINDS, PlanKind, PlanStatus

OPEN = (PlanStatus.PENDING, PlanStatus.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class MovePreview:
    """What moving one person would mean; content is counted, never named."""

    person: User
    engine: str
    adapters: int
    """Active ones, which stop with the old engine."""
    passages: int
    refusal: str
    """Why this person is left out; empty when they would be moved."""


@dataclass(frozen=True, slots=True)
class MassMovePreview:
    """The same of all of them."""

    people: int
    moved: int
    adapters: int
    passages: int
    refusals: list[tuple[str, int]]
    """Each reason with how many are left out for it, the most frequent first."""

    @property
    def left_out(self) -> int:
        """Return how many would get no plan."""
        return self.people - self.moved


def preview_moves(people: QuerySet[User], engine: CatalogModel) -> list[MovePreview]:
    """Say for each person what moving would mean, in a number of queries that no number of people changes."""
    keys = people.order_by().values("pk")
    visible = catalog_visible_to_each(OuterRef("pk")).filter(pk=engine.pk)
    rows: list[Any] = list(with_engine_choice(people).annotate(is_offered=Exists(visible)))
    names = CatalogModel.objects.in_bulk({row.chosen_engine for row in rows} - {None})
    active = LoraAdapter.objects.filter(user__in=keys, status=AdapterStatus.ACTIVE)
    adapters = _count_by(active.exclude(base_revision=engine.current_revision), "user")
    live = Chunk.objects.filter(base__owner__in=keys, deleted_seq__isnull=True)
    passages = _count_by(live, "base__owner")
    busy = set(
        Plan.objects.filter(user__in=keys, status__in=OPEN, kind__in=PERSON_KINDS)
        .filter(Q(status=PlanStatus.IN_PROGRESS) | Q(kind=PlanKind.MIGRATE, to_engine=engine))
        .values_list("user", flat=True)
    )
    return [
        MovePreview(
            row,
            names[row.chosen_engine].display_name if row.chosen_engine else "none",
            adapters.get(row.pk, 0),
            passages.get(row.pk, 0),
            _explain_refusal(row, engine, busy),
        )
        for row in rows
    ]


def sum_up(lines: list[MovePreview]) -> MassMovePreview:
    """Sum up what ``preview_moves`` said of each."""
    moved = [line for line in lines if not line.refusal]
    refusals = Counter(line.refusal for line in lines if line.refusal)
    return MassMovePreview(
        len(lines),
        len(moved),
        sum(line.adapters for line in moved),
        sum(line.passages for line in moved),
        refusals.most_common(),
    )


def _explain_refusal(row: Any, engine: CatalogModel, busy: set[int]) -> str:
    if row.chosen_engine == engine.pk:
        return f"{engine.display_name} answers already."
    if row.pk in busy:
        return "A plan of this person is open already."
    if not row.is_offered:
        return f"{engine.display_name} is reserved for others."
    return ""


def _count_by(rows: QuerySet[Any], field: str) -> dict[int, int]:
    counted = rows.order_by().values(field).annotate(number=Count("pk"))
    return {row[field]: row["number"] for row in counted}
