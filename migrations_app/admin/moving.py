"""Moving many people to another engine: what it would mean for each, then one plan a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from engines.models import AdapterStatus, CatalogModel, Chunk, LoraAdapter, ModelRole
from engines.services.catalog.entries import is_offered
from engines.services.engine_choice import with_engine_choice
from migrations_app.admin.base import RoleAdmin
from migrations_app.admin.reports import report_each
from migrations_app.controller import get_migration_controller
from migrations_app.models import Plan
from migrations_app.states import PERSON_KINDS, PlanKind, PlanStatus

MAX_PEOPLE = 100
"""Of one move: each gets a plan, and each plan is counted before it is made."""
OPEN = (PlanStatus.PENDING, PlanStatus.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class MoveLine:
    """What moving one person would mean; content is counted, never named."""

    person: User
    engine: str
    adapters: int
    """Active ones, which stop with the old engine."""
    passages: int
    refusal: str
    """Why this person is left out; empty when they would be moved."""


def offer_move(
    owner: RoleAdmin, request: HttpRequest, people: QuerySet[User]
) -> HttpResponse | None:
    """Ask where to, show what it would mean, and after that make and start the plans."""
    chosen = people.filter(is_active=True).order_by("username")
    count = chosen.count()
    if count > MAX_PEOPLE:
        sentence = f"{count} people are selected and nobody was moved: move at most {MAX_PEOPLE} at a time."
        owner.message_user(request, sentence, messages.ERROR)
        return None
    offered = CatalogModel.objects.filter(role=ModelRole.CHAT, published=True)
    key = request.POST.get("engine", "")
    engine = offered.filter(pk=key).first() if key.isdecimal() else None
    lines = preview_moves(chosen, engine) if engine is not None else []
    if engine is not None and "confirmed" in request.POST:
        _move(owner, request, engine, lines)
        return None
    context = {
        **owner.admin_site.each_context(request),
        "opts": owner.opts,
        "title": "Move people to another engine",
        "engines": offered,
        "engine": engine,
        "lines": lines,
        "people": chosen,
        "selected": request.POST.getlist("_selected_action"),
        "action": request.POST.get("action", ""),
    }
    return TemplateResponse(request, "admin/people/move.html", context)


def preview_moves(people: QuerySet[User], engine: CatalogModel) -> list[MoveLine]:
    """Say for each person what moving to an engine would mean, and who would be left out."""
    rows: list[Any] = list(with_engine_choice(people))
    names = CatalogModel.objects.in_bulk({row.chosen_engine for row in rows} - {None})
    active = LoraAdapter.objects.filter(user__in=rows, status=AdapterStatus.ACTIVE)
    adapters = _count_by(active.exclude(base_revision=engine.current_revision), "user")
    live = Chunk.objects.filter(base__owner__in=rows, deleted_seq__isnull=True)
    passages = _count_by(live, "base__owner")
    busy = set(
        Plan.objects.filter(user__in=rows, status__in=OPEN, kind__in=PERSON_KINDS)
        .filter(Q(status=PlanStatus.IN_PROGRESS) | Q(kind=PlanKind.MIGRATE, to_engine=engine))
        .values_list("user", flat=True)
    )
    return [
        MoveLine(
            row,
            names[row.chosen_engine].display_name if row.chosen_engine else "none",
            adapters.get(row.pk, 0),
            passages.get(row.pk, 0),
            _refusal(row, engine, busy),
        )
        for row in rows
    ]


def _refusal(row: Any, engine: CatalogModel, busy: set[int]) -> str:
    if row.chosen_engine == engine.pk:
        return f"{engine.display_name} answers already."
    if row.pk in busy:
        return "A plan of this person is open already."
    if not is_offered(row, engine):
        return f"{engine.display_name} is reserved for others."
    return ""


def _count_by(rows: QuerySet[Any], field: str) -> dict[int, int]:
    counted = rows.order_by().values(field).annotate(number=Count("pk"))
    return {row[field]: row["number"] for row in counted}


def _move(
    owner: RoleAdmin, request: HttpRequest, engine: CatalogModel, lines: list[MoveLine]
) -> None:
    """Make and start a plan for each who is not left out; doing it twice makes no second plan."""
    controller, actor = get_migration_controller(), cast("User", request.user)

    def move(person: Any) -> None:
        plan = controller.create_migration_plan("current", engine.model_id, person.pk, actor=actor)
        controller.execute_migration(plan, actor=actor)

    people: Any = [line.person for line in lines if not line.refusal]
    report_each(owner, request, people, move, done=("move started", "moves started"))
    for line in lines:
        if line.refusal:
            sentence = f"{line.person.username} was left out: {line.refusal}"
            owner.message_user(request, sentence, messages.WARNING)
