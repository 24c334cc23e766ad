"""The admin of mass moves: which there are, and one page each that says what became of everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse

from engines.exceptions import SamError
from engines.services.people.roles import is_operator
from migrations_app.admin.base import LivePageAdmin
from migrations_app.admin.reports import count_rows
from migrations_app.models import MassMove
from migrations_app.moves.counts import count_refusals, count_states, percent_done, with_states
from migrations_app.moves.mass_moves import cancel_mass_move, retry_mass_move
from migrations_app.moves.pace import measure_pace, say_pace
from migrations_app.signs import Look, look_of
from migrations_app.states import MoveState

MAX_REASONS = 10
PER_PAGE = 50
MAX_DIGITS = 19
AGAIN = (MoveState.REFUSED, MoveState.FAILED)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many people are in one state, and the link to their lines."""

    state: MoveState
    count: int
    is_current: bool

    @property
    def look(self) -> Look:
        """Return how the state is shown."""
        return look_of(self.state)


@admin.register(MassMove)
class MassMoveAdmin(LivePageAdmin):
    """Mass moves are read here, ended and tried again; they begin where people are chosen."""

    templates = "admin/moves"
    list_display = ("title", "created_by", "created_at", "people", "outcome", "finished_at")
    list_select_related = ("to_engine", "created_by")
    list_filter = ("created_at",)
    search_fields = ("to_engine__model_id", "to_engine__display_name", "created_by__username")

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        own = [
            path("<int:key>/live/", view(self.live_view), name="mass_move_live"),
            path("<int:key>/cancel/", view(self.cancel_view), name="mass_move_cancel"),
            path("<int:key>/retry/", view(self.retry_view), name="mass_move_retry"),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Count the people of all moves of the page at once."""
        answer = super().changelist_view(request, extra_context)
        listed = (getattr(answer, "context_data", None) or {}).get("cl")
        if listed is not None:
            rows = list(listed.result_list)
            counts = count_states(rows)
            for row in rows:
                row.counts = counts[row.pk]
            listed.result_list = rows
        return answer

    @admin.display(description="move", ordering="to_engine__display_name")
    def title(self, move: MassMove) -> str:
        return f"To {move.to_engine.display_name}"

    @admin.display(description="people")
    def people(self, move: Any) -> int:
        return sum(move.counts.values())

    @admin.display(description="outcome")
    def outcome(self, move: Any) -> str:
        told = (f"{count} {state.label.lower()}" for state, count in move.counts.items() if count)
        return ", ".join(told)

    def find_row(self, key: str) -> MassMove:
        # Longer ones no row has, and Python reads no number of thousands of digits.
        is_number = key.isascii() and key.isdecimal() and len(key) <= MAX_DIGITS
        moves = MassMove.objects.select_related(*self.list_select_related)
        move = moves.filter(pk=int(key)).first() if is_number else None
        if move is None:
            raise Http404("There is no such move.")
        return move

    def describe_row(self, request: HttpRequest, row: MassMove) -> dict[str, Any]:
        return _describe(request, row)

    def page_title(self, row: MassMove) -> str:
        return self.title(row)

    def cancel_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """End the rest."""
        move = self._posted(request, key)
        try:
            cancel_mass_move(move)
        except SamError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            sentence = "The rest is cancelled; who has switched stays on the new engine."
            self.message_user(request, sentence, messages.SUCCESS)
        return _go_to(move)

    def retry_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Give who was refused another turn."""
        move = self._posted(request, key)
        try:
            count = retry_mass_move(move)
        except SamError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            again = count_rows(count, "person gets another turn.", "people get another turn.")
            self.message_user(request, again, messages.SUCCESS)
        return _go_to(move)

    def _posted(self, request: HttpRequest, key: int) -> MassMove:
        if not self.has_view_permission(request) or request.method != "POST":
            raise PermissionDenied
        return self.find_row(str(key))


def _go_to(move: MassMove) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:migrations_app_massmove_change", args=[move.pk]))


def _progress(move: MassMove, counts: dict[MoveState, int]) -> dict[str, Any]:
    percent = percent_done(counts)
    pace = say_pace(measure_pace(move, counts))
    return {"percent": percent, "progress": f"{percent:.0f} %{', ' if pace else ''}{pace}"}


def _describe(request: HttpRequest, move: MassMove) -> dict[str, Any]:
    """Return what the page shows, in a number of queries that no number of people changes."""
    counts = count_states([move])[move.pk]
    total = sum(counts.values())
    asked = request.GET.get("state", "")
    lines = with_states(move.lines.select_related("user", "plan")).order_by("id")
    if asked in MoveState.values:
        lines = lines.filter(state=asked)
    return {
        "move": move,
        "total": total,
        **_progress(move, counts),
        "tallies": [Tally(s, n, asked == s) for s, n in counts.items() if n or asked == s],
        "reasons": count_refusals(move, MAX_REASONS),
        "page": Paginator(lines, PER_PAGE).get_page(request.GET.get("page")),
        "asked": asked,
        "may_cancel": move.finished_at is None and move.cancel_requested_at is None,
        "may_retry": move.cancel_requested_at is None and any(counts[s] for s in AGAIN),
    }
