"""One base: its documents, what is added to it, its name and its end."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from engines.exceptions import SamError
from engines.folders.hidden import HIDDEN_PREFIXES, OF_SYSTEMS
from engines.models import Document, KnowledgeBase
from engines.services.knowledge.access import may_write
from engines.services.knowledge.documents import add_document, delete_base, rename_base
from engines.services.knowledge.watched.attaching import folders_visible_to
from engines.services.people.roles import is_administrator
from migrations_app.api.parsers import MAX_DOCUMENT_UPLOAD_BYTES
from migrations_app.limits.held import UPLOADS, holding
from migrations_app.pages.components import paginate
from migrations_app.pages.knowledge.anew import list_anew
from migrations_app.pages.knowledge.forms import NameForm, TextForm
from migrations_app.pages.knowledge.intake import Intake, take_files
from migrations_app.pages.knowledge.shelf import (
    KINDS_READ,
    NEEDS_ENGINE,
    KnowledgePage,
    described_documents,
    titled,
    way_to,
)
from migrations_app.pages.uploads import UploadView
from migrations_app.serving.answers import embed_for_writer

MAX_WANTED = 200


class BasePage(KnowledgePage):
    """A page about one base."""

    def show_base(
        self, base: KnowledgeBase, *, intake: Intake | None = None, template: str = ""
    ) -> HttpResponse:
        """Show its documents, and what became of files that were just sent."""
        wanted = self.request.GET.get("q", "").strip()[:MAX_WANTED]
        rows = described_documents(titled(Document.objects.filter(base=base), wanted))
        may_change = may_write(self.person, base)
        context: dict[str, Any] = {
            "title": base.name,
            "base": base,
            "page": paginate(self.request, rows.order_by("-updated_at", "-pk")),
            "wanted": wanted,
            "may_write": may_change,
            "anew": list(list_anew(base)) if may_change else [],
            "folders": folders_visible_to(self.person).filter(base=base),
            "may_attach": is_administrator(self.person),
            "may_direct": may_change or is_administrator(self.person),
            "crumbs": way_to(),
            "intake": intake,
            "kinds_read": KINDS_READ,
            "hidden_prefixes": HIDDEN_PREFIXES,
            "hidden_names": filter(str.isprintable, sorted(OF_SYSTEMS)),
            "needs_engine": NEEDS_ENGINE,
        }
        return self.render(context, template=template)


class BaseView(BasePage):
    """The documents of a base."""

    template_name: ClassVar[str] = "pages/knowledge/base.html"
    part_name: ClassVar[str] = "pages/knowledge/base_part.html"

    def get(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Show a page of them, or of those with a title."""
        return self.show_base(self.base(base_id))


class UploadFilesView(UploadView, BasePage):
    """Files that were dropped or chosen; a script sends them one by one, a form all at once."""

    max_upload_bytes: ClassVar[int] = MAX_DOCUMENT_UPLOAD_BYTES
    template_name: ClassVar[str] = "pages/knowledge/base.html"
    part_name: ClassVar[str] = "pages/knowledge/intake.html"

    def get(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Lead to the base; this address is only sent to."""
        return self.go("base", base_id=self.base(base_id).pk)

    def post(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Take them, and say of each that was refused why."""
        base = self.writable_base(base_id)
        with holding(self.person.pk, UPLOADS):
            intake = take_files(
                base,
                request.FILES.getlist("files"),
                folder=request.POST.get("folder", ""),
                path=request.POST.get("path", ""),
                replaces="replace" in request.POST,
            )
        return self.show_base(self.base(base_id), intake=intake)


class WriteView(BasePage):
    """A document that is written in the browser."""

    template_name: ClassVar[str] = "pages/knowledge/write.html"

    def get(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Show an empty sheet."""
        kind = Document.MediaType.MARKDOWN
        return self._show(self.writable_base(base_id), TextForm(initial={"media_type": kind}))

    def post(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Keep it."""
        base = self.writable_base(base_id)
        form = TextForm(request.POST)
        if not form.is_valid():
            return self._show(base, form, status=400)
        content = {name: form.cleaned_data[name] for name in ("title", "text", "media_type")}
        try:
            with holding(self.person.pk, UPLOADS):
                document = add_document(base.pk, embed=embed_for_writer, **content)
        except SamError as error:
            form.refuse(error)
            return self._show(base, form, status=400)
        messages.success(request, "The document is added.")
        return self.go("document", document_id=document.pk)

    def _show(self, base: KnowledgeBase, form: TextForm, status: int = 200) -> HttpResponse:
        context = {"title": "Write a document", "base": base, "form": form, "crumbs": way_to(base)}
        return self.render(context, status=status)


class BaseSettingsView(BasePage):
    """The name of a base, and the door to its end."""

    template_name: ClassVar[str] = "pages/knowledge/base_settings.html"

    def get(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Show them."""
        base = self.writable_base(base_id)
        return self._show(base, NameForm(initial={"name": base.name}))

    def post(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Keep another name."""
        base = self.writable_base(base_id)
        form = NameForm(request.POST)
        if not form.is_valid():
            return self._show(base, form, status=400)
        try:
            rename_base(base.pk, form.cleaned_data["name"])
        except SamError as error:
            form.refuse(error, "name")
            return self._show(base, form, status=400)
        messages.success(request, "The name is kept.")
        return self.go("base", base_id=base.pk)

    def _show(self, base: KnowledgeBase, form: NameForm, status: int = 200) -> HttpResponse:
        context = {"title": "Name and end", "base": base, "form": form, "crumbs": way_to(base)}
        return self.render(context, status=status)


class BaseDeleteView(BasePage):
    """The end of a base."""

    def post(self, request: HttpRequest, base_id: int) -> HttpResponse:
        """Delete it with its documents."""
        base = self.writable_base(base_id)
        delete_base(base.pk)
        messages.success(request, f"“{base.name}” and its documents are deleted.")
        return self.go("knowledge")
