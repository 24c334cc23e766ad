"""What engines are told before a question: a family's text, and one's own edits of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse

from engines.models import PromptTemplate, UserPrompts
from engines.services.catalog.starter.prompts import hint_of
from engines.services.engine_choice import effective_engine
from engines.services.people.preferences import (
    PROMPT_FIELDS,
    edit_prompts,
    has_prompts,
    lock_preference,
    preference_of,
    prompt_families_of,
    prompts_of,
)
from migrations_app.api.serializers.people import MAX_PROMPT_CHARS
from migrations_app.pages.base import PageView
from migrations_app.pages.forms import PageForm

STALE = (
    "These prompts were changed meanwhile, perhaps in another window. Nothing of yours is kept yet: compare "
    "below, and keep yours once more if it shall hold."
)
KINDS = {
    "system_prompt": "What the engine is told first",
    "reasoning_prompt": "How it shall think before it answers",
    "chat_format": "Chat format (Jinja)",
}


class PromptsForm(PageForm):
    """The three texts of a family."""

    system_prompt = forms.CharField(
        max_length=MAX_PROMPT_CHARS,
        required=False,
        strip=False,
        label=KINDS["system_prompt"],
        widget=forms.Textarea(attrs={"rows": 6}),
    )
    reasoning_prompt = forms.CharField(
        max_length=MAX_PROMPT_CHARS,
        required=False,
        strip=False,
        label=KINDS["reasoning_prompt"],
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    chat_format = forms.CharField(
        max_length=MAX_PROMPT_CHARS,
        required=False,
        strip=False,
        label=KINDS["chat_format"],
        help_text="Empty: the model’s own, which is right unless you know better.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )
    made_on = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def texts(self) -> dict[str, str]:
        """Return them with the ends of lines that are kept; a browser sends those of typewriters."""
        return {kind: self.cleaned_data[kind].replace("\r\n", "\n") for kind in PROMPT_FIELDS}


@dataclass(frozen=True, slots=True)
class FamilyLine:
    """A family in the list: whether I edited it, and whether it is my engine's."""

    family: str
    is_edited: bool
    is_in_use: bool


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of two texts compared: " ", "+" (mine only) or "-" (the family's only)."""

    sign: str
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """One of my texts beside the family's."""

    kind: str
    title: str
    diff: list[DiffLine]


class PromptsView(PageView):
    """The families that have prompts."""

    title: ClassVar[str] = "Prompts"
    section: ClassVar[str] = "settings"
    template_name: ClassVar[str] = "pages/settings/prompts.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """List them, that of one's engine first."""
        used = family_in_use(self.person)
        rows = UserPrompts.objects.filter(user=self.person)
        edited = {row.family for row in rows if any(_edits_of(row).values())}
        families = prompt_families_of(self.person)
        if used and used not in families:
            families.append(used)
        lines = [FamilyLine(name, name in edited, name == used) for name in families]
        return self.render(
            {"lines": sorted(lines, key=lambda line: (not line.is_in_use, line.family))}
        )


def family_in_use(person: User) -> str:
    """Return the family whose prompts are told to a person's engine; empty where nothing answers them."""
    chosen = preference_of(person).prompt_family
    engine, _ = effective_engine(person)
    return chosen or (engine.model_family if engine else "")


def _edits_of(row: UserPrompts) -> dict[str, bool]:
    return {kind: getattr(row, kind) is not None for kind in PROMPT_FIELDS}


class FamilyView(PageView):
    """The prompts of one family."""

    section: ClassVar[str] = "settings"
    template_name: ClassVar[str] = "pages/settings/family.html"

    def get(self, request: HttpRequest, family: str) -> HttpResponse:
        """Show what holds, and what I changed."""
        return self._show(self._known(family))

    def post(self, request: HttpRequest, family: str) -> HttpResponse:
        """Keep one's texts, or take one back; what was changed since it was read is left alone."""
        form = PromptsForm(request.POST)
        self._known(family)
        if not form.is_valid():
            return self._show(family, form, status=400)
        taken_back = request.POST.get("take_back", "")
        with transaction.atomic():
            lock_preference(self.person.pk)
            current = prompts_of(self.person, family)
            is_stale = form.cleaned_data["made_on"] != current.digest
            if not is_stale:
                edit_prompts(self.person, family, _edits(family, form.texts(), taken_back))
        if is_stale:
            return self._show_stale(family, form)
        said = "The family’s text holds again." if taken_back else "Your prompts are kept."
        messages.success(request, said)
        return self.go("settings-family", family=family)

    def _known(self, family: str) -> str:
        if not has_prompts(self.person, family):
            raise Http404
        return family

    def _show_stale(self, family: str, form: PromptsForm) -> HttpResponse:
        current = prompts_of(self.person, family)
        # What was typed stays in the form, now over what holds.
        again = PromptsForm(initial={**form.texts(), "made_on": current.digest})
        texts = form.texts()
        clashes = [
            Edit(kind, title, list(compare(getattr(current, kind), texts[kind])))
            for kind, title in KINDS.items()
            if getattr(current, kind) != texts[kind]
        ]
        return self._show(family, again, clashes=clashes, status=409)

    def _show(
        self,
        family: str,
        form: PromptsForm | None = None,
        *,
        clashes: list[Edit] | None = None,
        status: int = 200,
    ) -> HttpResponse:
        held = prompts_of(self.person, family)
        texts = {kind: getattr(held, kind) for kind in PROMPT_FIELDS}
        context = {
            "title": f"Prompts of {family}",
            "family": family,
            "hint": hint_of(family),
            "form": form or PromptsForm(initial={**texts, "made_on": held.digest}),
            "edits": _own_edits(family, texts, self._edited(family)),
            "stale": STALE if clashes is not None else "",
            "clashes": clashes or [],
        }
        return self.render(context, status=status)

    def _edited(self, family: str) -> set[str]:
        row = UserPrompts.objects.filter(user=self.person, family=family).first()
        return {kind for kind, is_own in _edits_of(row).items() if is_own} if row else set()


def _own_edits(family: str, texts: Mapping[str, str], edited: set[str]) -> list[Edit]:
    template = _template(family)
    return [
        Edit(kind, title, list(compare(getattr(template, kind), texts[kind])))
        for kind, title in KINDS.items()
        if kind in edited
    ]


def _edits(family: str, texts: Mapping[str, str], taken_back: str) -> dict[str, str | None]:
    """Return what to keep: a text that is the family's is no edit, so that it follows the family."""
    if taken_back:
        return {taken_back: None} if taken_back in PROMPT_FIELDS else {}
    template = _template(family)
    return {kind: None if text == getattr(template, kind) else text for kind, text in texts.items()}


def _template(family: str) -> PromptTemplate:
    found = PromptTemplate.objects.filter(family=family).first()
    return found or PromptTemplate(family=family)


def compare(before: str, after: str) -> Iterator[DiffLine]:
    """Compare two texts line by line."""
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        if not line.startswith("?"):
            yield DiffLine(line[0], line[2:])
