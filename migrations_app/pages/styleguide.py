"""/styleguide/: every component in every state, for whoever builds a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from migrations_app.pages.base import PageView
from migrations_app.pages.components import Link, Point, Stage, StepLine
from migrations_app.pages.forms import ChoiceCards, PageForm
from migrations_app.signs import LOOKS, Tone
from migrations_app.states import StepStatus

COLOURS = (
    "paper surface raised sunken line line-strong ink ink-soft ink-faint accent accent-strong accent-soft "
    "success success-soft warning warning-soft danger danger-soft info info-soft neutral-soft"
)
CODE = "curl -N https://sam.example.org/v1/chat/completions \\\n  -H 'Authorization: Bearer $SAM_TOKEN'"


class SampleForm(PageForm):
    """One field of each kind."""

    name = forms.CharField(help_text="As others will see it.")
    kind = forms.ChoiceField(
        choices=[("all", "Everything"), ("read", "Reading only")], required=False
    )
    about = forms.CharField(widget=forms.Textarea, required=False)
    move = forms.ChoiceField(
        choices=[("now", "Now"), ("tonight", "Tonight"), ("later", "Not yet")],
        widget=ChoiceCards(
            {
                "now": "You keep working while it runs.",
                "tonight": "Starts at 22:00 in your time zone.",
                "later": "The plan waits for you on the home page.",
            }
        ),
        initial="now",
    )
    backup = forms.BooleanField(
        help_text="A sealed archive of everything that is yours.", initial=True
    )


@dataclass(frozen=True, slots=True)
class SampleEngine:
    """A row of the sample table."""

    name: str
    family: str
    size: int
    rate: float
    status: str


ENGINES = (
    SampleEngine("Qwen 3 4B Instruct", "qwen", 2_497_280_960, 18.4, "downloaded"),
    SampleEngine("Llama 3.1 8B Instruct", "llama", 4_920_734_656, 9.7, "downloading"),
    SampleEngine("SmolLM2 135M Instruct", "smollm", 98_103_264, 141.2, "not_downloaded"),
)
STEPS = (
    StepLine("Fetch the engine", StepStatus.COMPLETED, note="2.5 GB in 1 min 40 s"),
    StepLine("Back up", StepStatus.COMPLETED, note="14 MB"),
    StepLine(
        "Re-embed your knowledge", StepStatus.IN_PROGRESS, 62.0, "310 passages/s · 1 min 12 s left"
    ),
    StepLine("Probe the new engine", StepStatus.PENDING),
    StepLine("Switch", StepStatus.PENDING),
)
STOPPED_STEPS = (
    StepLine("Fetch the engine", StepStatus.COMPLETED),
    StepLine(
        "Probe the new engine",
        StepStatus.NEEDS_OPERATOR,
        error="The host gpu-1 has been lost for 4 minutes. Move the plan to another host, or wait for it.",
    ),
    StepLine("Back up", StepStatus.FAILED, error="The disk is full; free 2 GB and try again."),
    StepLine("Settle", StepStatus.CANCELLED),
)
STAGES = (
    Stage("Choose", "#progress", is_done=True),
    Stage("What it means", "#progress", is_done=True),
    Stage("Options", "#progress", is_current=True),
    Stage("Confirm", "#progress"),
    Stage("Move"),
)
POINTS = (
    Point(
        "Two adapters stop working",
        "They were trained for Llama 3.1 8B and come back when you do.",
        "adapter",
        Tone.WARNING,
        ("legal style", "short answers"),
    ),
    Point(
        "Nothing is re-embedded",
        "Both engines search with the same model.",
        "success",
        Tone.SUCCESS,
    ),
)
TABS = (
    Link("Library", "#tabs", is_current=True, count=26),
    Link("Downloads", "#tabs", count=1),
    Link("Settings", "#tabs"),
)
CRUMBS = (Link("Engines", "#crumbs"), Link("Qwen 3 4B Instruct", "#crumbs"))


class StyleguideView(PageView):
    """Shown to staff, and to everybody signed in where DEBUG is on."""

    title: ClassVar[str] = "Styleguide"
    section: ClassVar[str] = "styleguide"
    template_name: ClassVar[str] = "pages/styleguide/styleguide.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show all components."""
        if not (settings.DEBUG or self.person.is_staff):
            raise Http404
        people = User.objects.order_by("pk")
        return self.render(
            {
                "colours": COLOURS.split(),
                "icons": _icon_names(),
                "tones": list(Tone),
                "statuses": list(LOOKS),
                "form": SampleForm(),
                "wrong_form": _wrong_form(),
                "engines": ENGINES,
                "steps": STEPS,
                "stopped_steps": STOPPED_STEPS,
                "stages": STAGES,
                "points": POINTS,
                "tabs": TABS,
                "crumbs": CRUMBS,
                "page": Paginator(people, 1).get_page(1),
                "code": CODE,
                "past": timezone.now() - timedelta(minutes=12),
                "sources": [
                    {"number": 1, "title": "Handbook of the laboratory, p. 12", "href": "#chat"},
                    {"number": 2, "title": "Safety rules 2026", "href": "#chat"},
                ],
            }
        )


def _wrong_form() -> SampleForm:
    form = SampleForm({"name": "", "move": "now"})
    form.add_error(None, "This name is taken by another of your adapters; choose a new one.")
    return form


def _icon_names() -> list[str]:
    sprite = ElementTree.parse(Path(str(finders.find("sam/icons/sprite.svg"))))  # noqa: S314 - our own file
    return [symbol.attrib["id"] for symbol in sprite.getroot()]
