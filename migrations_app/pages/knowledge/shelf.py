"""What pages of knowledge share: which base or document is meant, and what is known of a base."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404
from django.urls import reverse

from engines.db.keys import MAX_ROW_ID
from engines.models import Chunk, Document, KnowledgeBase
from engines.services.knowledge.access import READERS_ONLY, bases_visible_to, may_write
from migrations_app.pages.base import PageView
from migrations_app.pages.components import Link

KINDS_READ = (
    "PDF, Word, PowerPoint, Excel, OpenDocument, EPUB, web pages, e-mail, CSV, JSON, Markdown, text and source "
    "code. Several files, a folder, or a zip of them; up to 50 MB each."
)
NEEDS_ENGINE = (
    "It can be searched once an engine with an embedder answers you and a host has read its file. What you "
    "add until then is kept and read in by itself."
)


def described_bases(rows: QuerySet[KnowledgeBase]) -> QuerySet[KnowledgeBase]:
    """Bring along how much is in each base and what searches it; one statement for all."""
    return rows.select_related(
        "owner", "group", "live_index__fingerprint__revision__model"
    ).annotate(
        document_count=_count_of(Document.objects.filter(base=OuterRef("pk")), "base"),
        passage_count=_count_of(
            Chunk.objects.filter(base=OuterRef("pk"), deleted_seq__isnull=True), "base"
        ),
    )


def described_documents(rows: QuerySet[Document]) -> QuerySet[Document]:
    """Bring along how many passages each document has, and leave its text."""
    live = Chunk.objects.filter(document=OuterRef("pk"), deleted_seq__isnull=True)
    return rows.defer("text").annotate(passage_count=_count_of(live, "document"))


def _count_of(rows: QuerySet[Document] | QuerySet[Chunk], by: str) -> Coalesce:
    counted = rows.order_by().values(by).annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counted), 0)


class KnowledgePage(PageView):
    """A page of the subject."""

    title: ClassVar[str] = "Knowledge"
    section: ClassVar[str] = "knowledge"

    def base(self, base_id: int) -> KnowledgeBase:
        """Return a base that the person sees; Http404 for any other."""
        rows = described_bases(bases_visible_to(self.person))
        found = rows.filter(pk=_within_range(base_id)).first()
        if found is None:
            raise Http404
        return found

    def writable_base(self, base_id: int) -> KnowledgeBase:
        """Return a base that the person may change; PermissionDenied for one that they only read."""
        return self._writable(self.base(base_id))

    def document(self, document_id: int) -> Document:
        """Return a document, without its text; Http404 unless the person sees its base."""
        rows = described_documents(Document.objects.filter(base__in=bases_visible_to(self.person)))
        found = rows.select_related("base__group").filter(pk=_within_range(document_id)).first()
        if found is None:
            raise Http404
        return found

    def writable_document(self, document_id: int) -> Document:
        """Return a document that the person may change; PermissionDenied for one that they only read."""
        found = self.document(document_id)
        self._writable(found.base)
        return found

    def _writable(self, base: KnowledgeBase) -> KnowledgeBase:
        if not may_write(self.person, base):
            raise PermissionDenied(READERS_ONLY)
        return base


def _within_range(key: int) -> int:
    if key > MAX_ROW_ID:
        raise Http404
    return key


def way_to(base: KnowledgeBase | None = None, document: Document | None = None) -> list[Link]:
    """Return the crumbs of a page below these."""
    links = [Link("Knowledge", reverse("knowledge"))]
    if base is not None:
        links.append(Link(base.name, reverse("base", args=[base.pk])))
    if document is not None:
        links.append(Link(document.title, reverse("document", args=[document.pk])))
    return links


def titled(rows: QuerySet[Document], wanted: str) -> QuerySet[Document]:
    """Narrow documents to those whose title has every word."""
    asked = Q()
    for word in wanted.split():
        asked &= Q(title__icontains=word)
    return rows.filter(asked)
