"""The admin of the nouns. Nobody's texts are shown here: knowledge is counted, not read."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat

from engines.host_runtimes import engine_registry
from engines.models import (
    CatalogModel,
    EngineDefault,
    EnginePreference,
    Host,
    KnowledgeBase,
    ModelCopy,
    PromptTemplate,
)
from engines.models.validators import (
    POOLINGS,
    validate_model_filename,
    validate_repository,
)
from engines.runtimes.text.families import FAMILIES
from engines.services.catalog.entries import catalog_export
from engines.services.people.roles import is_administrator, is_curator, is_operator

INLINE_STYLE = {"all": ("engines/admin.css",)}
CATALOG_FIELDSETS: tuple[Any, ...] = (
    (
        None,
        {
            "fields": (
                "model_id",
                "display_name",
                "description",
                ("model_family", "role"),
                "licence",
                "tags",
                "published",
                "recommended",
                "allowed_groups",
            )
        },
    ),
    (
        "File",
        {
            "fields": (
                "huggingface_repo",
                "filename",
                ("wanted_revision", "hub_endpoint"),
                "sha256",
                "file_size",
                "current_revision",
            )
        },
    ),
    ("Folder or server", {"fields": ("folder", ("endpoint", "remote_name"))}),
    (
        "Engine",
        {
            "fields": (
                "runtime",
                ("quantization", "load_quantization"),
                "context_length",
                ("device", "gpu_layers"),
                ("split_mode", "main_gpu", "tensor_split"),
                ("use_flash_attention", "batch_invariant"),
            )
        },
    ),
    (
        "Search by meaning",
        {
            "fields": (
                "embedding_model",
                ("embedding_dimension", "pooling", "normalise"),
                ("query_prefix", "document_prefix"),
            )
        },
    ),
    ("Times", {"fields": (("created_at", "updated_at"),)}),
)

CATALOG_HELP = {
    "model_id": "What programs and plans call it; lower-case letters, digits and . _ : -",
    "display_name": "What people read.",
    "model_family": "Engines of one family share their prompts. How they reason is known of "
    f"{', '.join(FAMILIES)}.",
    "remote_name": "What that server calls the model, exactly as it lists it.",
    "sha256": "What the file must have; empty means what the Hub states.",
    "query_prefix": "Put before every question; the model's page says whether it wants it.",
    "document_prefix": "Put before every passage.",
    "tags": 'A JSON list of words: ["small", "multilingual"].',
    "recommended": "Marked so in the catalog that people see.",
    "published": "Off: only the staff see it and nobody can move to it.",
}


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

    runtime = forms.ChoiceField(
        choices=lambda: [(name, name) for name in engine_registry().runtimes],
        initial=CatalogModel.FILE_RUNTIME,
        help_text="What runs the model: llama_cpp a GGUF file, transformers a folder, ollama and "
        "openai a server; or an installed plugin.",
    )
    pooling = forms.ChoiceField(
        choices=[("", "The model's own"), *((name, name) for name in POOLINGS)],
        required=False,
    )
    filename = forms.CharField(
        required=False,
        max_length=255,
        validators=[validate_model_filename],
        help_text="One GGUF file of the repository, like Qwen3-0.6B.Q4_K_M.gguf.",
    )
    huggingface_repo = forms.CharField(
        required=False,
        label="Hugging Face repository",
        max_length=193,
        validators=[validate_repository],
        help_text="As the Hub writes it: organisation/name.",
    )
    hub_endpoint = forms.URLField(
        required=False,
        assume_scheme="https",
        help_text="Only for a mirror or a private hub; empty means the configured one.",
    )


class CatalogAdmin(RoleAdmin):
    """Curation; the layer above adds the downloads and registers it."""

    list_display = (
        "model_id",
        "display_name",
        "role",
        "size",
        "published",
        "recommended",
        "hosts_having_it",
    )
    list_filter = ("published", "recommended", "role", "model_family", "runtime", "licence")
    search_fields = ("model_id", "display_name", "huggingface_repo", "description")
    form = CatalogForm
    fieldsets = CATALOG_FIELDSETS
    filter_horizontal = ("allowed_groups",)
    autocomplete_fields = ("embedding_model",)
    readonly_fields = ("current_revision", "created_at", "updated_at")
    actions = ["publish", "unpublish", "export_json"]

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_curator(user)

    def get_form(
        self, request: HttpRequest, obj: Any = None, *args: Any, **kwargs: Any
    ) -> type[forms.ModelForm[Any]]:
        kwargs |= {"help_texts": CATALOG_HELP, "labels": {"sha256": "SHA-256"}}
        return super().get_form(request, obj, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CatalogModel]:
        has_it = Count(
            "revisions__copies__host",
            filter=Q(revisions__copies__status="downloaded"),
            distinct=True,
        )
        rows: QuerySet[CatalogModel] = super().get_queryset(request)
        return rows.annotate(host_count=has_it)

    @admin.display(ordering="file_size")
    def size(self, model: CatalogModel) -> str:
        return filesizeformat(model.file_size) if model.file_size else "?"

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
    fields = ("revision", "status", "size", "downloaded_at", "verified_at", "error")
    readonly_fields = fields
    extra = 0
    can_delete = False

    class Media:
        css = INLINE_STYLE

    def size(self, copy: ModelCopy) -> str:
        return filesizeformat(copy.file_size)

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
    fields = (
        ("name", "status", "last_seen"),
        ("cores", "memory"),
        ("gpus", "gpu_memory"),
        ("free_disk", "disk"),
        "limits",
        "announces",
    )
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
        return filesizeformat(host.memory_bytes)

    @admin.display(description="GPU memory")
    def gpu_memory(self, host: Host) -> str:
        return filesizeformat(host.vram_bytes)

    @admin.display(ordering="disk_free_bytes")
    def free_disk(self, host: Host) -> str:
        return filesizeformat(host.disk_free_bytes)

    def disk(self, host: Host) -> str:
        return filesizeformat(host.disk_total_bytes)


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


@admin.register(EnginePreference)
class EnginePreferenceAdmin(RoleAdmin):
    """Who uses which engine; it is changed by a plan or by the person, never here."""

    list_display = ("user", "engine", "prompt_family", "last_upgrade", "version")
    list_select_related = ("user", "engine")
    list_filter = (("engine", admin.RelatedOnlyFieldListFilter),)
    search_fields = ("user__username", "engine__model_id")
    list_display_links = None

    def reads(self, user: User | AnonymousUser) -> bool:
        return is_operator(user)
