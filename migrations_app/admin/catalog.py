"""The admin of the catalog: curation, and downloads to a host."""

from __future__ import annotations

import json
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from unfold.forms import ActionForm
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
    UnfoldBooleanSwitchWidget,
)

from engines.host_runtimes import engine_registry
from engines.models import (
    CatalogModel,
    EngineDefault,
    Host,
    HostStatus,
)
from engines.models.catalog import MAX_PREFIX_LENGTH
from engines.models.validators import (
    POOLINGS,
    validate_model_filename,
    validate_repository,
)
from engines.runtimes.text.families import FAMILIES
from engines.services.catalog.exchange import export_catalog
from engines.services.catalog.fields import KEPT_BY_SAM, group_curated_fields
from engines.services.catalog.validation import CONFIRM, validate_entry
from engines.services.people.roles import is_curator, is_operator
from migrations_app.admin.base import RoleAdmin
from migrations_app.admin.reports import count_rows, report_each
from migrations_app.library import get_model_library_manager

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


class PrefixField(forms.CharField):
    """A prefix as it was typed: each blank and line break is part of the vector space."""

    def __init__(self, *, help_text: str) -> None:
        super().__init__(
            required=False,
            strip=False,
            max_length=MAX_PREFIX_LENGTH,
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
            help_text=help_text,
        )

    def to_python(self, value: object) -> str:
        # Browsers send a line break as CR LF, whatever it was before.
        return str(super().to_python(value)).replace("\r\n", "\n")


class CatalogForm(forms.ModelForm[CatalogModel]):
    """The entry's form, as strict about names as the API."""

    runtime = forms.ChoiceField(
        choices=lambda: [(name, name) for name in engine_registry().runtimes],
        initial=CatalogModel.FILE_RUNTIME,
        widget=UnfoldAdminSelectWidget,
        help_text="What runs the model: llama_cpp a GGUF file, transformers a folder, ollama and "
        "openai a server; or an installed plugin.",
    )
    pooling = forms.ChoiceField(
        choices=[("", "The model's own"), *((name, name) for name in POOLINGS)],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    filename = forms.CharField(
        required=False,
        max_length=255,
        validators=[validate_model_filename],
        widget=UnfoldAdminTextInputWidget,
        help_text="One GGUF file of the repository, like Qwen3-0.6B.Q4_K_M.gguf.",
    )
    huggingface_repo = forms.CharField(
        required=False,
        label="Hugging Face repository",
        max_length=193,
        validators=[validate_repository],
        widget=UnfoldAdminTextInputWidget,
        help_text="As the Hub writes it: organisation/name.",
    )
    hub_endpoint = forms.URLField(
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget,
        help_text="Only for a mirror or a private hub; empty means the configured one.",
    )
    query_prefix = PrefixField(help_text=CATALOG_HELP["query_prefix"])
    document_prefix = PrefixField(help_text=CATALOG_HELP["document_prefix"])
    confirm = forms.BooleanField(required=False, widget=forms.HiddenInput, label="Write it anyway")
    """Shown when there is something to confirm."""

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            validate_entry(
                self.instance,
                allowed_groups=self.cleaned_data.get("allowed_groups"),
                confirmed=self.cleaned_data["confirm"],
            )
        except ValidationError as error:
            if CONFIRM in error.message_dict:
                self.fields[CONFIRM].widget = UnfoldBooleanSwitchWidget()
            self.add_error(None, error)


class DownloadForm(ActionForm):
    """The list's action form with a host to choose for downloads."""

    host = forms.ModelChoiceField(
        Host.objects.filter(status=HostStatus.ACTIVE),
        required=False,
        label="",
        widget=UnfoldAdminSelectWidget({"aria-label": "Host for downloads"}),
        to_field_name="name",
        empty_label="any host",
    )


@admin.register(CatalogModel)
class CatalogModelAdmin(RoleAdmin):
    """Curation, and downloads to a host."""

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
    filter_horizontal = ("allowed_groups",)
    autocomplete_fields = ("embedding_model",)
    readonly_fields = KEPT_BY_SAM
    action_form = DownloadForm
    actions = ["publish", "unpublish", "export_json", "download"]

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_curator(user)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        """Return the curated fields by group, and what SAM keeps; the question comes first."""
        groups: list[tuple[Any, Any]] = [
            (title or None, {"fields": rows}) for title, rows in group_curated_fields().items()
        ]
        if obj is not None and self.has_change_permission(request, obj):
            groups.insert(0, (None, {"fields": (CONFIRM,)}))
        return [*groups, ("Kept by SAM", {"fields": (KEPT_BY_SAM,)})]

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
        document = export_catalog()
        document["models"] = {k: v for k, v in document["models"].items() if k in chosen}
        response = HttpResponse(json.dumps(document, indent=2), content_type="application/json")
        response["Content-Disposition"] = 'attachment; filename="model_catalog.json"'
        return response

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return is_operator(request.user)

    @admin.action(description="Download to a host", permissions=["operate"])
    def download(self, request: HttpRequest, queryset: QuerySet[CatalogModel]) -> None:
        library = get_model_library_manager()
        host = request.POST.get("host") or None
        actor = cast("User", request.user)

        def start(model: Any) -> None:
            library.start_download(model.model_id, host=host, actor=actor)

        report_each(self, request, queryset, start, done=("download started", "downloads started"))

    def _set_published(
        self, request: HttpRequest, queryset: QuerySet[CatalogModel], *, published: bool
    ) -> None:
        chosen = CatalogModel.objects.filter(pk__in=queryset.values("pk"), published=not published)
        if not published:
            defaults = chosen.filter(pk__in=EngineDefault.objects.values("engine"))
            for model_id in defaults.values_list("model_id", flat=True):
                sentence = f"{model_id} is a default engine; choose another default first."
                self.message_user(request, sentence, messages.ERROR)
            chosen = chosen.exclude(pk__in=EngineDefault.objects.values("engine"))
        changed = chosen.update(published=published)
        word = "published" if published else "unpublished"
        sentence = count_rows(changed, f"model is now {word}.", f"models are now {word}.")
        self.message_user(request, sentence, messages.SUCCESS)
