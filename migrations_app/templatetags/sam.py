"""``{% load sam %}``: the components as template tags; /styleguide/ shows each of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import TypedDict

from django import template
from django.contrib.auth.models import User
from django.core.paginator import Page
from django.db.models import Model
from django.forms import BoundField
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.dateformat import format as format_date
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from engines.moments import MOMENT
from migrations_app.indicator import (
    AdapterWarning,
    EngineIndicator,
    adapter_warning_of,
    indicator_of,
)
from migrations_app.pages.components import Link, Point, Stage, StepLine
from migrations_app.signs import Tone, look_of

register = template.Library()

TONE_ICONS = {
    Tone.NEUTRAL: "info",
    Tone.ACCENT: "info",
    Tone.INFO: "info",
    Tone.SUCCESS: "success",
    Tone.WARNING: "warning",
    Tone.DANGER: "error",
}
MESSAGE_TONES = {
    "debug": Tone.NEUTRAL,
    "info": Tone.INFO,
    "success": Tone.SUCCESS,
    "warning": Tone.WARNING,
    "error": Tone.DANGER,
}
"""Of Django's messages."""
FULL = 100


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Draw an icon of the sprite; without a label it is decoration that readers of screens skip."""
    about = (
        format_html('role="img" aria-label="{}"', label)
        if label
        else SafeString('aria-hidden="true"')
    )
    source = f"{_find_sprite()}#{name}"
    return format_html('<svg class="icon" {}><use href="{}"></use></svg>', about, source)


@cache
def _find_sprite() -> str:
    # A page has hundreds of icons, and the address is the same as long as the process runs.
    return static("sam/icons/sprite.svg")


@register.simple_tag
def button(
    label: str, kind: str = "quiet", icon_name: str = "", **attributes: str | bool
) -> SafeString:
    """Draw a button: primary, quiet, danger, ghost, or icon (its label is read aloud only).

    Whatever else is named becomes an attribute, ``hx_post`` as ``hx-post``; it submits unless told
    otherwise. True writes an attribute without a value, False leaves it out.
    """
    attributes = {"type": "submit", **attributes}
    css = _button_class(kind, str(attributes.pop("css", "")))
    return format_html(
        '<button class="{}"{}>{}</button>',
        css,
        _attributes(attributes),
        _inside(label, kind, icon_name),
    )


@register.simple_tag
def link_button(
    label: str, href: str, kind: str = "quiet", icon_name: str = "", **attributes: str | bool
) -> SafeString:
    """Draw a link that looks like a button; for going somewhere, never for changing something."""
    css = _button_class(kind, str(attributes.pop("css", "")))
    return format_html(
        '<a class="{}" href="{}"{}>{}</a>',
        css,
        href,
        _attributes(attributes),
        _inside(label, kind, icon_name),
    )


def _button_class(kind: str, more: str) -> str:
    kinds = {"quiet": "button", "icon": "button button-ghost button-icon"}
    return f"{kinds.get(kind, f'button button-{kind}')} {more}".strip()


def _inside(label: str, kind: str, icon_name: str) -> SafeString:
    drawn = icon(icon_name) if icon_name else SafeString("")
    if kind == "icon":
        return format_html('{}<span class="visually-hidden">{}</span>', drawn, label)
    return format_html("{}<span>{}</span>", drawn, label)


def _attributes(attributes: dict[str, str | bool]) -> SafeString:
    named = ((name.replace("_", "-"), value) for name, value in attributes.items())
    return format_html_join(
        "",
        "{}",
        (
            (format_html(" {}", name) if value is True else format_html(' {}="{}"', name, value),)
            for name, value in named
            if value is not False
        ),
    )


@register.simple_tag
def status(value: str, label: str = "") -> SafeString:
    """Draw the pill of a plan's, step's, host's, copy's, adapter's or engine's status."""
    look = look_of(value)
    turns = " badge-turns" if look.icon == "progress" else ""
    return format_html(
        '<span class="badge tone-{}{}">{}{}</span>',
        look.tone,
        turns,
        icon(look.icon),
        label or look.label,
    )


@register.simple_tag
def badge(label: str, tone: str = Tone.NEUTRAL, icon_name: str = "") -> SafeString:
    """Draw a pill that says anything else, such as a capability."""
    if not icon_name:
        return format_html('<span class="badge badge-plain tone-{}">{}</span>', tone, label)
    return format_html('<span class="badge tone-{}">{}{}</span>', tone, icon(icon_name), label)


@register.simple_tag
def when(moment: datetime | None, style: str = "relative") -> SafeString:
    """Write a time: in the zone that the reader's browser told, else in UTC until the page is there.

    ``relative`` says how long ago it was or when it will be, ``absolute`` writes the date.
    """
    if moment is None:
        return SafeString("–")
    written = format_date(localtime(moment), MOMENT)
    return format_html(
        '<time datetime="{}" data-when="{}">{}</time>', moment.isoformat(), style, written
    )


class ProgressContext(TypedDict):
    percent: float | None
    label: str
    note: str
    tone: str
    live: bool


@register.inclusion_tag("components/progress.html")
def progress(
    percent: float | None, label: str, note: str = "", tone: str = "", *, live: bool = False
) -> ProgressContext:
    """Draw a bar from 0 to 100; None runs without an end. The label is what goes on, the note e.g. the rate.

    A live one follows its plan, in a section that names it.
    """
    held = None if percent is None else max(0.0, min(float(FULL), percent))
    return {"percent": held, "label": label, "note": note, "tone": tone, "live": live}


class StepsContext(TypedDict):
    steps: Sequence[StepLine]


@register.inclusion_tag("components/steps.html")
def steps(lines: Sequence[StepLine]) -> StepsContext:
    """List a plan's steps with their signs, bars and notes."""
    return {"steps": lines}


class StagesContext(TypedDict):
    stages: Sequence[Stage]
    label: str


@register.inclusion_tag("components/stages.html")
def stages(lines: Sequence[Stage], label: str) -> StagesContext:
    """Show where one is on a way through several pages, and lead back to those before."""
    return {"stages": lines, "label": label}


class PointsContext(TypedDict):
    points: Sequence[Point]


@register.inclusion_tag("components/points.html")
def points(lines: Sequence[Point]) -> PointsContext:
    """List what there is to know, each with its sign and particulars."""
    return {"points": lines}


class StatContext(TypedDict):
    label: str
    value: str
    note: str
    icon_name: str


@register.inclusion_tag("components/stat.html")
def stat(label: str, value: str | float, note: str = "", icon_name: str = "") -> StatContext:
    """Draw one figure; several stand in a ``dl`` of the class ``grid-small``."""
    return {"label": label, "value": str(value), "note": note, "icon_name": icon_name}


class NoticeContext(TypedDict):
    text: str
    tone: str
    title: str
    icon_name: str


@register.inclusion_tag("components/notice.html")
def notice(text: str, tone: str = Tone.INFO, title: str = "") -> NoticeContext:
    """Say something that belongs to the place where it stands: info, success, warning or danger."""
    return {"text": text, "tone": tone, "title": title, "icon_name": TONE_ICONS[Tone(tone)]}


class EmptyContext(TypedDict):
    title: str
    text: str
    icon_name: str
    action: str
    href: str


@register.inclusion_tag("components/empty.html")
def empty(
    title: str, text: str, icon_name: str = "info", action: str = "", href: str = ""
) -> EmptyContext:
    """Say why a list is empty and what to do about it."""
    return {"title": title, "text": text, "icon_name": icon_name, "action": action, "href": href}


class LinksContext(TypedDict):
    links: Sequence[Link]
    label: str


@register.inclusion_tag("components/tabs.html")
def tabs(links: Sequence[Link], label: str = "Parts of this page") -> LinksContext:
    """List the parts of a subject, each a page of its own."""
    return {"links": links, "label": label}


@register.inclusion_tag("components/crumbs.html")
def crumbs(links: Sequence[Link]) -> LinksContext:
    """List the way to this page, without the page itself."""
    return {"links": links, "label": "Where this page is"}


class PagesContext(TypedDict):
    page: Page[Model]
    request: object


@register.inclusion_tag("components/pages.html", takes_context=True)
def pages(context: template.Context, page: Page[Model]) -> PagesContext:
    """Say which rows of a list are shown, and lead to the others; other parameters are kept."""
    return {"page": page, "request": context["request"]}


class IndicatorContext(TypedDict):
    indicator: EngineIndicator | None
    href: str


@register.inclusion_tag("components/engine_indicator.html", takes_context=True)
def engine_indicator(context: template.Context) -> IndicatorContext:
    """Draw which engine answers who is signed in, and how that stands; a view may bring ``indicator``."""
    return {"indicator": _indicator(context), "href": reverse("home")}


class WarningContext(TypedDict):
    warning: AdapterWarning | None


@register.inclusion_tag("components/adapter_warning.html", takes_context=True)
def adapter_warning(context: template.Context) -> WarningContext:
    """Say which adapters a switch left behind; nothing when all are valid."""
    indicator, user = _indicator(context), context.get("user")
    if indicator is None or not isinstance(user, User):
        return {"warning": None}
    return {"warning": adapter_warning_of(indicator, user)}


def _indicator(context: template.Context) -> EngineIndicator | None:
    brought, user = context.get("indicator"), context.get("user")
    if isinstance(brought, EngineIndicator):
        return brought
    return indicator_of(user) if isinstance(user, User) else None


@register.simple_tag
def field(bound: BoundField) -> SafeString:
    """Draw one field of any form, also of one that is not ours."""
    return render_to_string("components/field.html", {"field": bound})


@register.filter
def wordlist(words: str) -> list[str]:
    """Split words at blanks, to loop over them."""
    return words.split()


@register.filter
def thousands(number: int) -> str:
    """Write a whole number with its thousands apart."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


@register.filter
def message_tone(level_tag: str) -> str:
    """Return the tone of one of Django's messages."""
    return MESSAGE_TONES.get(level_tag, Tone.INFO)


@register.filter
def tone_icon(tone: str) -> str:
    """Return the icon of a tone."""
    return TONE_ICONS[Tone(tone)]


@register.simple_tag
def citation(number: int, title: str, href: str) -> SafeString:
    """Draw the chip that leads to a passage in its document."""
    return format_html(
        '<a class="citation" href="{}" title="{}"><b>{}</b><span>{}</span></a>',
        href,
        title,
        number,
        title,
    )
