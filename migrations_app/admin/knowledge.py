"""The admin of knowledge. Nobody's texts are shown: they are counted, not read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest

from engines.models import (
    KnowledgeBase,
)
from migrations_app.admin.base import RoleAdmin


@admin.register(KnowledgeBase)
class KnowledgeBaseAdmin(RoleAdmin):
    """How much there is, of whom, and whether it can be searched; never what it says."""

    list_display = ("id", "owner", "group", "documents_held", "chunks_live", "is_searchable")
    list_select_related = ("owner", "group")
    list_filter = ("group",)
    search_fields = ("owner__username", "group__name")
    list_display_links = None

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only the list: a page of its own would show the base's name."""
        return obj is None and self.reads(request.user)

    def get_queryset(self, request: HttpRequest) -> QuerySet[KnowledgeBase]:
        live = Count("chunks", filter=Q(chunks__deleted_seq__isnull=True), distinct=True)
        rows: QuerySet[KnowledgeBase] = super().get_queryset(request)
        return rows.annotate(document_count=Count("documents", distinct=True), chunk_count=live)

    @admin.display(description="documents")
    def documents_held(self, base: Any) -> int:
        return int(base.document_count)

    @admin.display(description="chunks")
    def chunks_live(self, base: Any) -> int:
        return int(base.chunk_count)

    @admin.display(description="searchable", boolean=True)
    def is_searchable(self, base: KnowledgeBase) -> bool:
        return base.live_index_id is not None
