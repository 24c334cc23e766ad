"""One document: its text passage by passage, changed, replaced and deleted."""

from __future__ import annotations

from typing import ClassVar, cast

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse

from engines.db.keys import MAX_ROW_ID
from engines.exceptions import ConflictError, SamError
from engines.models import Chunk, Document
from engines.services.knowledge.access import may_write
from engines.services.knowledge.cutting.places import leave_out_title
from engines.services.knowledge.documents import delete_document, update_document
from engines.services.knowledge.folders import replace_with_file
from engines.services.knowledge.passages import GONE, find_passage, list_shown_texts
from migrations_app.api.parsers import MAX_DOCUMENT_UPLOAD_BYTES, uploaded_to_disk
from migrations_app.limits.held import UPLOADS, holding
from migrations_app.pages.chat.markdown import render_document
from migrations_app.pages.knowledge.forms import MAX_EDIT_CHARS, TextForm, TitleForm
from migrations_app.pages.knowledge.shelf import KINDS_READ, KnowledgePage, way_to
from migrations_app.pages.uploads import UploadView
from migrations_app.serving.answers import embed_for_writer

PASSAGES_PER_PAGE = 40
MAX_DIGITS = 19


class DocumentView(KnowledgePage):
    """The text, in the passages that a search finds; ``?passage=`` marks one.

    Chat shows its part beside an answer that stands on that passage.
    """

    template_name: ClassVar[str] = "pages/knowledge/document.html"
    part_name: ClassVar[str] = "pages/knowledge/document_text.html"

    def get(self, request: HttpRequest, document_id: int) -> HttpResponse:
        """Show a page of it, that of the passage asked for."""
        document = self.document(document_id)
        live = Chunk.objects.filter(document=document, deleted_seq__isnull=True)
        asked = request.GET.get("passage", "")
        marked = find_passage(live, key) if (key := _key_of(asked)) else None
        number: int | str | None = request.GET.get("page")
        if marked is not None and number is None:
            number = live.filter(position__lt=marked.position).count() // PASSAGES_PER_PAGE + 1
        page: Page[Chunk] = Paginator(live.order_by("position"), PASSAGES_PER_PAGE).get_page(number)
        texts = list_shown_texts(list(page), marked)
        return self.render(
            {
                "title": document.title,
                "document": document,
                "page": page,
                "marked": marked,
                "place": leave_out_title(marked.place, document.title) if marked else "",
                "gone": GONE if asked and marked is None else "",
                "parts": [
                    (chunk, text, _html_of(document, text))
                    for chunk, text in zip(page, texts, strict=True)
                ],
                "may_write": may_write(self.person, document.base),
                "crumbs": way_to(document.base),
            }
        )


def _html_of(document: Document, text: str) -> str:
    """Return a part of a document as HTML; empty where it is shown letter by letter."""
    if document.media_type != Document.MediaType.MARKDOWN:
        return ""
    return render_document(text, keeps_lines=document.has_read_lines)


def _key_of(asked: str) -> int:
    is_number = asked.isascii() and asked.isdecimal() and len(asked) <= MAX_DIGITS
    key = int(asked) if is_number else 0
    return key if key <= MAX_ROW_ID else 0


class EditPage(KnowledgePage):
    """What is changed of a document."""

    template_name: ClassVar[str] = "pages/knowledge/document_edit.html"

    def show_edit(
        self,
        document: Document,
        form: TextForm | TitleForm | None = None,
        *,
        refusal: str = "",
        current: str = "",
        status: int = 200,
    ) -> HttpResponse:
        """Show the forms; ``current`` is the text that somebody else wrote meanwhile."""
        context = {
            "title": "Change the document",
            "document": document,
            "form": form or _form_of(document),
            "refusal": refusal,
            "current": current,
            "kinds_read": KINDS_READ,
            "crumbs": way_to(document.base, document),
        }
        return self.render(context, status=status)


def _form_of(document: Document) -> TextForm | TitleForm:
    """Return the form for a document: with its text, unless that is too long to be written here."""
    if len(document.text) > MAX_EDIT_CHARS:
        return TitleForm(initial={"title": document.title})
    initial = {name: getattr(document, name) for name in ("title", "text", "media_type")}
    return TextForm(initial={**initial, "made_on": document.sha256})


class DocumentEditView(EditPage):
    """Title and text."""

    def get(self, request: HttpRequest, document_id: int) -> HttpResponse:
        """Show them."""
        return self.show_edit(self.writable_document(document_id))

    def post(self, request: HttpRequest, document_id: int) -> HttpResponse:
        """Keep what was changed; a text that is not the one that was changed here stays as it is."""
        document = self.writable_document(document_id)
        form = TextForm(request.POST) if "text" in request.POST else TitleForm(request.POST)
        if not form.is_valid():
            return self.show_edit(document, form, status=400)
        # The row's text is read at its first use: now, before it is another one.
        moved = document.places and form.cleaned_data.get("text", document.text) != document.text
        try:
            self._keep(document, form)
        except ConflictError as error:
            document.refresh_from_db(fields=["text", "sha256"])
            is_stale = form.cleaned_data.get("made_on", "") not in ("", document.sha256)
            form.refuse(error)
            current = document.text if is_stale and len(document.text) <= MAX_EDIT_CHARS else ""
            return self.show_edit(document, form, current=current, status=409)
        except SamError as error:
            form.refuse(error)
            return self.show_edit(document, form, status=400)
        also = (
            " Its pages moved along with their lines; what you rewrote may stand on another."
            if moved
            else ""
        )
        messages.success(request, f"The document is changed.{also}")
        return self.go("document", document_id=document.pk)

    def _keep(self, document: Document, form: TextForm | TitleForm) -> None:
        wanted = form.cleaned_data
        with holding(self.person.pk, UPLOADS):
            update_document(
                document.pk,
                title=wanted["title"],
                text=wanted.get("text"),
                media_type=wanted.get("media_type"),
                embed=embed_for_writer,
                expected_sha256=cast("str", wanted.get("made_on", "")),
            )


class DocumentReplaceView(UploadView, EditPage):
    """Another file in the place of a document; its title stays."""

    max_upload_bytes: ClassVar[int] = MAX_DOCUMENT_UPLOAD_BYTES

    def get(self, request: HttpRequest, document_id: int) -> HttpResponse:
        """Lead to the form; this address is only sent to."""
        return self.go("document-edit", document_id=self.document(document_id).pk)

    def post(self, request: HttpRequest, document_id: int) -> HttpResponse:
        """Take the file, or say why not."""
        document = self.writable_document(document_id)
        upload = request.FILES.get("file")
        if upload is None:
            return self.show_edit(document, refusal="Choose a file first.", status=400)
        try:
            with holding(self.person.pk, UPLOADS), uploaded_to_disk(upload, "file") as stored:
                replace_with_file(document.pk, stored, str(upload.name), embed_for_writer)
        except SamError as error:
            return self.show_edit(document, refusal=str(error), status=400)
        messages.success(request, f"The document has the text of {upload.name} now.")
        return self.go("document", document_id=document.pk)


class DocumentDeleteView(KnowledgePage):
    """The end of a document."""

    def post(self, request: HttpRequest, document_id: int) -> HttpResponse:
        """Delete it: no search finds it any more."""
        document = self.writable_document(document_id)
        delete_document(document.pk)
        messages.success(request, f"“{document.title}” is deleted.")
        return self.go("base", base_id=document.base_id)
