"""/engines/settings/defaults/: the engines of those who chose none; written by administrators."""

from __future__ import annotations

from typing import ClassVar

from django import forms
from django.contrib import messages
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import HttpRequest, HttpResponse

from engines.exceptions import NotFoundError, SamError, WouldReplaceError
from engines.models import EngineDefault
from engines.services.people.defaults import clear_default, set_default
from engines.services.people.roles import is_administrator
from migrations_app.api.problems import status_of
from migrations_app.pages.base import PageView
from migrations_app.pages.components import paginate
from migrations_app.pages.engines.parts import (
    MAX_OFFERED,
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


class DefaultForm(PageForm):
    """Whose default, and which engine."""

    group = forms.CharField(
        label="Group",
        required=False,
        max_length=MAX_TEXT,
        help_text="Empty: the whole organisation.",
        widget=forms.TextInput(attrs={"list": "groups", "autocomplete": "off"}),
    )
    engine = forms.CharField(
        label="Engine",
        max_length=MAX_TEXT,
        help_text="By its name, like qwen3-4b.",
        widget=forms.TextInput(attrs={"list": "engine-names", "autocomplete": "off"}),
    )


class DefaultsView(PageView):
    """The organisation's default and its groups'; staff read them, administrators write them."""

    title: ClassVar[str] = "Settings of engines"
    section: ClassVar[str] = SECTION
    template_name: ClassVar[str] = "pages/engines/defaults.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        require_staff(self.person)
        return self._show(DefaultForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Set a default, or clear one."""
        if not is_administrator(self.person):
            raise PermissionDenied("Only an administrator may change defaults.")
        if request.POST.get("do") == "clear":
            return self._clear(text_of(request.POST.get("group")))
        form = DefaultForm(request.POST)
        if not form.is_valid():
            return self._show(form)
        try:
            group = _group(text_of(form.cleaned_data["group"]))
            engine = engine_named(self.person, text_of(form.cleaned_data["engine"]))
            default = set_default(group, engine, replaces=text_of(request.POST.get("replaces")))
        except WouldReplaceError as error:
            form.refuse(error)
            return self._show(form, status_of(error), replaces=error.there)
        except SamError as error:
            form.refuse(error)
            return self._show(form, status_of(error))
        whose = f"the group {group.name}" if group else "the organisation"
        messages.success(request, f"{default.engine.display_name} is the default of {whose}.")
        return self.go("engine-defaults")

    def _clear(self, name: str) -> HttpResponse:
        try:
            clear_default(_group(name))
        except SamError as error:
            form = DefaultForm()
            return self._show(form, status_of(error), str(error))
        messages.success(self.request, "The default is cleared; the next one in order answers.")
        return self.go("engine-defaults")

    def _show(
        self, form: DefaultForm, status: int = 200, refusal: str = "", *, replaces: str = ""
    ) -> HttpResponse:
        rows = EngineDefault.objects.select_related("group", "engine")
        ordered = rows.order_by(F("group__name").asc(nulls_first=True))
        may_write = is_administrator(self.person)
        context = {
            "form": form,
            "refusal": refusal,
            "replaces": replaces,
            "page": paginate(self.request, ordered, PER_PAGE),
            "may_write": may_write,
            "engine_names": offered_names(self.person) if may_write else [],
            "groups": Group.objects.order_by("name")[:MAX_OFFERED] if may_write else [],
            "tabs": tabs_for(self.person, "engine-settings"),
            "parts": settings_tabs_for(self.person, "engine-defaults"),
        }
        return self.render(context, status=status)


def _group(name: str) -> Group | None:
    if not name:
        return None
    group = Group.objects.filter(name=name).first()
    if group is None:
        raise NotFoundError(f"No group is called “{name}”; leave it empty for the organisation.")
    return group
