"""The admin of the nouns. Nobody's texts are shown here: knowledge is counted, not read."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse

from engines.models import (
    CatalogModel,
    EngineDefault,
    Host,
    KnowledgeBase,
    ModelCopy,
    PromptTemplate,
)
from engines.models.catalog_checks import validate_model_filename, validate_repository
from engines.services.catalog import catalog_export
from engines.services.roles import is_administrator, is_curator, is_operator


class RoleAdmin(admin.ModelAdmin[Any]):
    """Who reads and writes is decided by role, as in the API, not by Django's permission table."""

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user) or is_curator(user)

    def writes(self, user: User | AnonymousUser) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.reads(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.reads(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.writes(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.writes(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.writes(request.user)


class CatalogForm(forms.ModelForm[CatalogModel]):
    """The entry's form, as strict about names as the API."""

    filename = forms.CharField(max_length=255, validators=[validate_model_filename])
    huggingface_repo = forms.CharField(max_length=193, validators=[validate_repository])
    hub_endpoint = forms.URLField(required=False, assume_scheme="https")


class CatalogAdmin(RoleAdmin):
    """Curation; the layer above adds the downloads and registers it."""

    list_display = (
        "model_id",
        "display_name",
        "model_family",
        "role",
        "quantization",
        "context_length",
        "recommended",
        "published",
        "hosts_having_it",
    )
    list_filter = ("published", "recommended", "role", "model_family", "runtime", "licence")
    search_fields = ("model_id", "display_name", "huggingface_repo", "description")
    form = CatalogForm
    filter_horizontal = ("allowed_groups",)
    autocomplete_fields = ("embedding_model",)
    readonly_fields = ("current_revision", "created_at", "updated_at")
    actions = ["publish", "unpublish", "export_json"]

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_curator(user)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CatalogModel]:
        has_it = Count(
            "revisions__copies__host",
            filter=Q(revisions__copies__status="downloaded"),
            distinct=True,
        )
        rows: QuerySet[CatalogModel] = super().get_queryset(request)
        return rows.annotate(host_count=has_it)

    @admin.display(description="hosts", ordering="host_count")
    def hosts_having_it(self, model: Any) -> int:
        return int(model.host_count)

    @admin.action(description="Publish", permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[CatalogModel]) -> None:
        self._set_published(request, queryset, published=True)

    @admin.action(description="Unpublish", permissions=["change"])
    def unpublish(self, request: HttpRequest, queryset: QuerySet[CatalogModel]) -> None:
        self._set_published(request, queryset, published=False)

    @admin.action(description="Export as JSON")
    def export_json(self, request: HttpRequest, queryset: QuerySet[CatalogModel]) -> HttpResponse:
        chosen = set(queryset.values_list("model_id", flat=True))
        document = catalog_export()
        document["models"] = {k: v for k, v in document["models"].items() if k in chosen}
        response = HttpResponse(json.dumps(document, indent=2), content_type="application/json")
        response["Content-Disposition"] = 'attachment; filename="model_catalog.json"'
        return response

    def _set_published(
        self, request: HttpRequest, queryset: QuerySet[CatalogModel], *, published: bool
    ) -> None:
        changed = CatalogModel.objects.filter(
            pk__in=queryset.values("pk"), published=not published
        ).update(published=published)
        word = "published" if published else "unpublished"
        self.message_user(request, f"{changed} models are now {word}.", messages.SUCCESS)


class CopyInline(admin.TabularInline[ModelCopy, Host]):
    model = ModelCopy
    fields = ("revision", "status", "file_size", "downloaded_at", "verified_at", "error")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelCopy]:
        return super().get_queryset(request).select_related("revision__model")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_operator(request.user) or is_curator(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Host)
class HostAdmin(RoleAdmin):
    """Hosts register themselves; an operator reads what they said and what they hold."""

    list_display = ("name", "status", "last_seen", "cores", "memory", "free_disk", "copies_held")
    list_filter = ("status",)
    search_fields = ("name",)
    inlines = (CopyInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Host]:
        held = Count("copies", filter=Q(copies__status="downloaded"))
        rows: QuerySet[Host] = super().get_queryset(request)
        return rows.annotate(copy_count=held)

    @admin.display(description="models", ordering="copy_count")
    def copies_held(self, host: Any) -> int:
        return int(host.copy_count)

    @admin.display(ordering="memory_bytes")
    def memory(self, host: Host) -> str:
        return gibibytes(host.memory_bytes)

    @admin.display(ordering="disk_free_bytes")
    def free_disk(self, host: Host) -> str:
        return gibibytes(host.disk_free_bytes)


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


@admin.register(EngineDefault)
class EngineDefaultAdmin(RoleAdmin):
    """The engine of those who chose none."""

    list_display = ("__str__", "group", "engine")
    list_select_related = ("group", "engine")
    autocomplete_fields = ("engine",)

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_administrator(user)


@admin.register(PromptTemplate)
class PromptTemplateAdmin(RoleAdmin):
    """A family's prompts; people's own edits are theirs and not shown."""

    list_display = ("family",)
    search_fields = ("family",)

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_curator(user)


def gibibytes(size: int) -> str:
    """Write bytes as GiB for people."""
    return f"{size / 2**30:.1f} GiB"
