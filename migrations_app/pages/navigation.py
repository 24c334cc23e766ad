"""Where a person can go: one line for each subject."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Place:
    """A subject of the navigation; ``section`` is what its pages name as theirs."""

    section: str
    label: str
    icon: str
    url_name: str
    invitation: str = ""
    """What the home page offers it for, such as "Ask a question"; empty: it does not."""

    @property
    def href(self) -> str:
        """Return its address."""
        return reverse(self.url_name)


PLACES: tuple[Place, ...] = (
    Place("home", "Home", "home", "home"),
    Place("chat", "Chat", "chat", "chat", "Ask a question"),
    Place("knowledge", "Knowledge", "knowledge", "knowledge", "Add documents"),
    Place("engines", "Engines", "engine", "engines", "See the engines"),
    Place("migrate", "Move", "migrate", "migrate", "Move to another engine"),
)
"""In the order of the header, and of the bar at the bottom of a phone: at most five."""

ACCOUNT_PLACES: tuple[Place, ...] = (
    Place("plans", "Plans", "clock", "plans"),
    Place("notices", "Notices", "bell", "notices"),
    Place("settings", "Settings", "settings", "settings-account"),
)
"""In the menu of the account."""


def find_place(section: str) -> Place | None:
    """Return a subject's place; None where this installation's pages have none."""
    return next((place for place in PLACES if place.section == section), None)
