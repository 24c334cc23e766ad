"""A page of rules about engines: staff read them, who may writes them, and none is replaced unasked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from engines.exceptions import SamError, WouldReplaceError
from migrations_app.api.problems import status_of
from migrations_app.pages.base import PageView
from migrations_app.pages.components import paginate
from migrations_app.pages.engines.parts import (
    SECTION,
    offered_names,
    require_staff,
    settings_tabs_for,
    tabs_for,
    text_of,
)
from migrations_app.pages.forms import PageForm

PER_PAGE = 25


class RulesView(PageView, ABC):
    """A subclass says what its rules are, who may write them, and how one is kept or cleared."""

    title: ClassVar[str] = "Settings of engines"
    section: ClassVar[str] = SECTION
    form_class: ClassVar[type[PageForm]]
    address: ClassVar[str]
    """The name of this page's address."""
    key: ClassVar[str]
    """The field that tells which rule to clear."""
    not_yours: ClassVar[str]
    """What who may only read is told."""

    @abstractmethod
    def may_write(self) -> bool:
        """Whether the person may change these rules."""

    @abstractmethod
    def keep(self, given: dict[str, Any], replaces: str) -> str:
        """Keep a rule and return what the person is told; SamError when it is refused."""

    @abstractmethod
    def clear(self, name: str) -> str:
        """Clear a rule and return what the person is told; SamError when it is refused."""

    @abstractmethod
    def find_rules(self) -> QuerySet[Any]:
        """Return the rules in the order they are shown."""

    @abstractmethod
    def find_more(self) -> dict[str, Any]:
        """Return what this page shows besides."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        require_staff(self.person)
        return self._show(self.form_class())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep a rule, or clear one."""
        if not self.may_write():
            raise PermissionDenied(self.not_yours)
        if request.POST.get("do") == "clear":
            return self._clear(text_of(request.POST.get(self.key)))
        form = self.form_class(request.POST)
        if not form.is_valid():
            return self._show(form)
        try:
            told = self.keep(form.cleaned_data, text_of(request.POST.get("replaces")))
        except SamError as error:
            form.refuse(error)
            there = error.there if isinstance(error, WouldReplaceError) else ""
            return self._show(form, status_of(error), replaces=there)
        messages.success(request, told)
        return self.go(self.address)

    def _clear(self, name: str) -> HttpResponse:
        try:
            told = self.clear(name)
        except SamError as error:
            return self._show(self.form_class(), status_of(error), str(error))
        messages.success(self.request, told)
        return self.go(self.address)

    def _show(
        self, form: PageForm, status: int = 200, refusal: str = "", *, replaces: str = ""
    ) -> HttpResponse:
        may_write = self.may_write()
        context = {
            "form": form,
            "refusal": refusal,
            "replaces": replaces,
            "page": paginate(self.request, self.find_rules(), PER_PAGE),
            "may_write": may_write,
            "engine_names": offered_names(self.person) if may_write else [],
            "tabs": tabs_for(self.person, "engine-settings"),
            "parts": settings_tabs_for(self.person, self.address),
            **self.find_more(),
        }
        return self.render(context, status=status)
