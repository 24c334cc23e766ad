"""How one wants to be told of what happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from engines.models import NoticeKind
from engines.services.people.notices import Channels, choices_of, set_choices
from engines.services.people.search_history import (
    KEPT_DAYS,
    MAX_SEARCHES,
    is_history_kept,
    searches_of,
    set_history_kept,
)
from migrations_app.pages.base import PageView

ON_PAGE, BY_EMAIL = "page", "email"


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the form."""

    kind: NoticeKind
    channels: Channels


class PreferencesView(PageView):
    """Each kind of notice, on the page and by e-mail."""

    title: ClassVar[str] = "Preferences"
    section: ClassVar[str] = "settings"
    template_name: ClassVar[str] = "pages/settings/preferences.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show what holds."""
        choices = [Choice(kind, held) for kind, held in choices_of(self.person).items()]
        kept = is_history_kept(self.person)
        return self.render(
            {
                "choices": choices,
                "keeps_searches": kept,
                "searches": list(searches_of(self.person.pk)) if kept else [],
                "kept_days": KEPT_DAYS,
                "most_searches": MAX_SEARCHES,
            }
        )

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep what is ticked; a kind that is not ticked is switched off."""
        ticked = {channel: set(request.POST.getlist(channel)) for channel in (ON_PAGE, BY_EMAIL)}
        wanted: dict[str, Channels] = {
            kind: Channels(kind in ticked[ON_PAGE], kind in ticked[BY_EMAIL])
            for kind in choices_of(self.person)
        }
        set_choices(self.person, wanted)
        messages.success(request, "Your choice is kept.")
        return self.go("settings-preferences")


class KeepSearchesView(PageView):
    """Whether one's searches are kept; forbidding it erases them."""

    section: ClassVar[str] = "settings"

    def post(self, request: HttpRequest) -> HttpResponse:
        """Allow or forbid it."""
        kept = request.POST.get("kept") == "yes"
        set_history_kept(self.person, kept=kept)
        said = "Your searches are kept from now on." if kept else "Your searches are erased."
        messages.success(request, said)
        return self.go("settings-preferences")
