"""/engines/settings/fallbacks/: what answers for an engine that cannot be made ready; written by operators."""

from __future__ import annotations

from typing import ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import HttpRequest, HttpResponse

from engines.exceptions import NotFoundError, SamError, WouldReplaceError
from engines.models import CatalogModel, EngineFallback, FallbackIncident
from engines.services.people.fallbacks import set_fallback
from engines.services.people.roles import is_operator
from migrations_app.api.problems import status_of
from migrations_app.pages.base import PageView
from migrations_app.pages.components import paginate
from migrations_app.pages.engines.parts import (
    MAX_TEXT,
    SECTION,
    engine_named,
    offered_names,
    require_staff,
    settings_tabs_for,
    tabs_for,
    text_of,
)
from migrations_app.pages.forms import PageForm

PER_PAGE = 25
MAX_INCIDENTS = 5


class FallbackForm(PageForm):
    """Which engine fails, and which one answers then."""

    engine = forms.CharField(
        label="When this engine cannot be made ready",
        required=False,
        max_length=MAX_TEXT,
        help_text="Empty: any engine that has no rule of its own.",
        widget=forms.TextInput(attrs={"list": "engine-names", "autocomplete": "off"}),
    )
    answers = forms.CharField(
        label="This one answers",
        required=False,
        max_length=MAX_TEXT,
        help_text="Empty: the engine that each person used before.",
        widget=forms.TextInput(attrs={"list": "engine-names", "autocomplete": "off"}),
    )


class FallbacksView(PageView):
    """The rules, and when they were last needed; staff read them, operators write them."""

    title: ClassVar[str] = "Settings of engines"
    section: ClassVar[str] = SECTION
    template_name: ClassVar[str] = "pages/engines/fallbacks.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        require_staff(self.person)
        return self._show(FallbackForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Set a rule, or take one away."""
        if not is_operator(self.person):
            raise PermissionDenied("Only an operator may change fallbacks.")
        if request.POST.get("do") == "clear":
            return self._clear(text_of(request.POST.get("engine")))
        form = FallbackForm(request.POST)
        if not form.is_valid():
            return self._show(form)
        try:
            named = self._engine(form.cleaned_data["engine"])
            answers = self._engine(form.cleaned_data["answers"])
            set_fallback(named, answers, replaces=text_of(request.POST.get("replaces")))
        except WouldReplaceError as error:
            form.refuse(error)
            return self._show(form, status_of(error), replaces=error.there)
        except SamError as error:
            form.refuse(error)
            return self._show(form, status_of(error))
        messages.success(request, "The rule is kept.")
        return self.go("engine-fallbacks")

    def _engine(self, typed: str) -> CatalogModel | None:
        name = text_of(typed)
        return engine_named(self.person, name) if name else None

    def _clear(self, name: str) -> HttpResponse:
        lookup = {"engine__model_id": name} if name else {"engine": None}
        rule = EngineFallback.objects.filter(**lookup).first()
        if rule is None:
            gone = NotFoundError("This rule is gone already; nothing was changed.")
            return self._show(FallbackForm(), status_of(gone), str(gone))
        rule.delete()
        messages.success(self.request, "The rule is taken away.")
        return self.go("engine-fallbacks")

    def _show(
        self, form: FallbackForm, status: int = 200, refusal: str = "", *, replaces: str = ""
    ) -> HttpResponse:
        rows = EngineFallback.objects.select_related("engine", "answers")
        ordered = rows.order_by(F("engine__display_name").asc(nulls_first=True))
        incidents = FallbackIncident.objects.select_related("revision__model", "answered_by__model")
        may_write = is_operator(self.person)
        context = {
            "form": form,
            "refusal": refusal,
            "replaces": replaces,
            "page": paginate(self.request, ordered, PER_PAGE),
            "incidents": incidents[:MAX_INCIDENTS],
            "may_write": may_write,
            "engine_names": offered_names(self.person) if may_write else [],
            "tabs": tabs_for(self.person, "engine-settings"),
            "parts": settings_tabs_for(self.person, "engine-fallbacks"),
        }
        return self.render(context, status=status)
