"""``{% load sam_people %}``: the parts of one's settings, the bell, and what depends on who reads it."""

from __future__ import annotations

from typing import TypedDict

from django import template
from django.contrib.auth.models import User
from django.urls import reverse

from engines.services.people.notices import count_unread
from engines.services.people.roles import is_curator
from migrations_app.accounts import mails
from migrations_app.pages.components import Link
from migrations_app.templatetags.sam import EmptyContext

register = template.Library()

PARTS = (
    ("account", "Account", "user", "settings-account"),
    ("adapters", "Adapters", "adapter", "settings-adapters"),
    ("prompts", "Prompts", "prompt", "settings-prompts"),
    ("backups", "Backups", "shield", "settings-backups"),
    ("tokens", "API tokens", "key", "settings-tokens"),
    ("usage", "Usage", "chart", "settings-usage"),
    ("preferences", "Preferences", "bell", "settings-preferences"),
)
MAX_SHOWN = 99
MAX_UNKNOWN = 60
_BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS": "Firefox",
    "CriOS": "Chrome",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
"""By a word of what they say of themselves; each also names those below it."""
_SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS": "Mac",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


@register.simple_tag
def sends_mail() -> bool:
    """Whether what a page says of mails is so."""
    return mails.sends_mail()


class TabsContext(TypedDict):
    links: list[Link]
    label: str


class BellContext(TypedDict):
    unread: int
    shown: str


@register.inclusion_tag("components/tabs.html")
def settings_tabs(current: str) -> TabsContext:
    """List the parts of one's settings."""
    links = [
        Link(label, reverse(url_name), icon=icon, is_current=part == current)
        for part, label, icon, url_name in PARTS
    ]
    return {"links": links, "label": "Parts of your settings"}


@register.inclusion_tag("components/bell.html", takes_context=True)
def notice_bell(context: template.Context) -> BellContext:
    """Draw the bell with how much was not read yet; one statement, nothing for who is not signed in."""
    user = context.get("user")
    unread = count_unread(user) if isinstance(user, User) else 0
    return {"unread": unread, "shown": f"{MAX_SHOWN}+" if unread > MAX_SHOWN else str(unread)}


@register.filter
def browser_name(user_agent: str) -> str:
    """Say which browser and machine a session belongs to; what is unknown is shown as it was sent."""
    browser = next((name for word, name in _BROWSERS.items() if word in user_agent), "")
    system = next((name for word, name in _SYSTEMS.items() if word in user_agent), "")
    if not browser:
        return user_agent[:MAX_UNKNOWN] or "unknown"
    return f"{browser} on {system}" if system else browser


@register.inclusion_tag("components/empty.html")
def no_engine_offered(person: User) -> EmptyContext:
    """Say why no engine is there to choose: to who curates them, what to do; to others, whom to ask."""
    text = (
        "A curator publishes engines in the catalog; ask for one, or for your group to be allowed."
    )
    action = href = ""
    if is_curator(person):
        text = (
            "You may publish some: “sam catalog starter” on SAM’s machine writes entries of well-known models, and in "
            "the admin’s catalog others are found at the Hub."
        )
        action = "Open the catalog" if person.is_staff else ""
        href = reverse("admin:engines_catalogmodel_changelist")
    title = "No engine is offered to you yet"
    return {"title": title, "text": text, "icon_name": "engine", "action": action, "href": href}
