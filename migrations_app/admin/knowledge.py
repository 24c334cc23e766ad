"""The admin of knowledge. Nobody's texts are shown: they are counted, not read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from engines.exceptions import SamError
from engines.models import Host, KnowledgeBase, WatchedFolder
from engines.services.knowledge.watched.attaching import (
    attach_folder,
    detach_folder,
    look_now,
    validate_folder,
)
from engines.services.people.roles import is_administrator
from migrations_app.admin.base import RoleAdmin
from migrations_app.admin.reports import report_each


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


ALLOWING_HOSTS = "Only hosts that let folders be watched are here; whoever runs a host allows some with SAM_WATCHED_FOLDERS."


class FolderForm(forms.ModelForm[WatchedFolder]):
    """Which folder of a host a base is kept in step with."""

    base_number = forms.IntegerField(
        min_value=1,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="As the list of knowledge bases shows it; its owner may read the folder.",
    )

    class Meta:
        model = WatchedFolder
        fields = ("host", "path", "every_seconds", "keep_deleted")

    def clean(self) -> dict[str, Any]:
        """Refuse a folder that may not be watched."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            base = KnowledgeBase.objects.filter(pk=cleaned["base_number"]).first()
            if base is None:
                raise ValidationError({"base_number": "There is no knowledge base of this number."})
            try:
                validate_folder(base.pk, cleaned["host"], cleaned["path"])
            except SamError as error:
                raise ValidationError({"path": str(error)}) from error
        return cleaned


@admin.register(WatchedFolder)
class WatchedFolderAdmin(RoleAdmin):
    """What each host looks at, for which base, and how the last look went; never what it read."""

    form = FolderForm
    fields = ("base_number", "host", "path", "every_seconds", "keep_deleted")
    list_display = ("path", "host", "base_id", "every_seconds", "looked_at", "counts", "problem")
    list_select_related = ("host",)
    list_filter = ("host",)
    search_fields = ("path", "host__name")
    list_display_links = None
    actions = ("look_at", "let_go")

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only the list: what stands in it is all there is."""
        return obj is None and self.reads(request.user)

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Offer the hosts that let folders be watched."""
        if db_field.name == "host":
            kwargs["queryset"] = Host.objects.exclude(folder_roots=[])
            kwargs["help_text"] = ALLOWING_HOSTS
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Attach it, by the same rules as elsewhere."""
        asked = form.cleaned_data
        made = attach_folder(
            asked["base_number"],
            asked["host"].name,
            asked["path"],
            every_seconds=asked["every_seconds"],
            keep_deleted=asked["keep_deleted"],
        )
        obj.pk = made.pk

    @admin.action(description="Look now")
    def look_at(self, request: HttpRequest, queryset: QuerySet[WatchedFolder]) -> None:
        def act(folder: WatchedFolder) -> None:
            look_now(folder.pk)

        done = ("folder's host is called", "folders' hosts are called")
        report_each(self, request, queryset, act, done=done)

    @admin.action(description="Watch no more; documents stay")
    def let_go(self, request: HttpRequest, queryset: QuerySet[WatchedFolder]) -> None:
        def act(folder: WatchedFolder) -> None:
            detach_folder(folder.pk)

        done = ("folder is not watched any more", "folders are not watched any more")
        report_each(self, request, queryset, act, done=done)
