"""Moving the chosen people to another engine: what it would mean for them, and then the start."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from engines.exceptions import SamError
from engines.models import CatalogModel, ModelRole
from migrations_app.admin.base import RoleAdmin
from migrations_app.admin.reports import count_rows
from migrations_app.models.moves import DEFAULT_AT_ONCE, MAX_AT_ONCE
from migrations_app.moves.mass_moves import MassMoveWish, start_mass_move
from migrations_app.moves.meaning import preview_moves, sum_up

SHOWN = 100
"""People whose lines are shown before the start; all of them are summed up."""


def offer_move(
    owner: RoleAdmin, request: HttpRequest, people: QuerySet[User]
) -> HttpResponse | None:
    """Ask where to, show what it would mean, and after that start the move of all of them."""
    chosen = people.filter(is_active=True).order_by("username")
    offered = CatalogModel.objects.filter(role=ModelRole.CHAT, published=True)
    key = request.POST.get("engine", "")
    engine = offered.filter(pk=key).first() if key.isdecimal() else None
    if engine is not None and "confirmed" in request.POST:
        return _start(owner, request, engine, chosen)
    lines = preview_moves(chosen, engine) if engine is not None else []
    context = {
        **owner.admin_site.each_context(request),
        "opts": owner.opts,
        "title": "Move people to another engine",
        "engines": offered.order_by("display_name"),
        "engine": engine,
        "lines": lines[:SHOWN],
        "total": sum_up(lines),
        "more": max(0, len(lines) - SHOWN),
        "count": len(lines) if engine is not None else chosen.count(),
        "at_once": _at_once(request),
        "most_at_once": MAX_AT_ONCE,
        "selected": request.POST.getlist("_selected_action"),
        "across": request.POST.get("select_across", "0"),
        "action": request.POST.get("action", ""),
    }
    return TemplateResponse(request, "admin/moves/offer.html", context)


def _at_once(request: HttpRequest) -> int:
    asked = request.POST.get("at_once", "")
    return int(asked[:6]) if asked.isascii() and asked.isdecimal() else DEFAULT_AT_ONCE


def _start(
    owner: RoleAdmin, request: HttpRequest, engine: CatalogModel, people: QuerySet[User]
) -> HttpResponse | None:
    wish = MassMoveWish(engine.model_id, at_once=_at_once(request))
    try:
        move = start_mass_move(people, wish, actor=cast("User", request.user))
    except SamError as error:
        owner.message_user(request, str(error), messages.ERROR)
        return None
    count = count_rows(move.lines.count(), "person is being moved", "people are being moved")
    owner.message_user(request, f"{count} to {engine.display_name}.", messages.SUCCESS)
    return HttpResponseRedirect(reverse("admin:migrations_app_massmove_change", args=[move.pk]))
