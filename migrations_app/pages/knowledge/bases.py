"""All bases that one may read: whose, how much is in them, and what they are searched with."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse

from engines.exceptions import SamError
from engines.services.knowledge.access import bases_visible_to
from engines.services.knowledge.documents import create_base
from migrations_app.pages.components import paginate
from migrations_app.pages.knowledge.forms import NewBaseForm, SearchForm
from migrations_app.pages.knowledge.shelf import KnowledgePage, described_bases


class BasesView(KnowledgePage):
    """The list, a search over all of it, and a form for one more."""

    template_name: ClassVar[str] = "pages/knowledge/bases.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them, one's own first."""
        return self._show(NewBaseForm(person=self.person))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make one."""
        form = NewBaseForm(request.POST, person=self.person)
        if not form.is_valid():
            return self._show(form, status=400)
        group = form.cleaned_data.get("group")
        owner = None if group else self.person
        try:
            base = create_base(name=form.cleaned_data["name"], owner=owner, group=group)
        except SamError as error:
            form.refuse(error)
            return self._show(form, status=400)
        messages.success(request, f"“{base.name}” is made. Add documents to it.")
        return self.go("base", base_id=base.pk)

    def _show(self, form: NewBaseForm, status: int = 200) -> HttpResponse:
        rows = bases_visible_to(self.person).order_by(
            F("group").asc(nulls_first=True), "name", "pk"
        )
        return self.render(
            {
                "page": paginate(self.request, described_bases(rows)),
                "form": form,
                "search_form": SearchForm(),
            },
            status=status,
        )
