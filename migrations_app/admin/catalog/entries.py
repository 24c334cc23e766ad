"""The admin of the catalog: curation, and what becomes of entries on hosts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminSelectWidget

from engines.exceptions import NotFoundError
from engines.models import (
    CatalogModel,
    CopyStatus,
    EngineDefault,
    Host,
    HostStatus,
    ModelCopy,
    ModelRole,
)
from engines.services.catalog.entry_rules import list_unused_fields
from engines.services.catalog.exchange import export_catalog
from engines.services.catalog.fields import KEPT_BY_SAM, group_curated_fields
from engines.services.catalog.instructions import describe_instructions, differing_instructions
from engines.services.catalog.validation import CONFIRM
from engines.services.people.roles import is_curator, is_operator
from engines.services.people.withdrawals import telling_of_withdrawals
from migrations_app.admin.base import RoleAdmin
from migrations_app.admin.catalog.form import CATALOG_HELP, CatalogForm, instructions_of_place
from migrations_app.admin.catalog.pages import CatalogPages, runtime_asked
from migrations_app.admin.reports import count_rows, report_each
from migrations_app.library import ModelLibraryManager, get_model_library_manager


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
class CatalogModelAdmin(CatalogPages, RoleAdmin):
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
    autocomplete_fields = ("embedding_model",)
    readonly_fields = KEPT_BY_SAM
    action_form = DownloadForm
    actions = [
        "publish",
        "unpublish",
        "recommend",
        "recommend_no_more",
        "export_json",
        "download",
        "verify_files",
        "delete_files",
    ]

    def writes(self, user: User | AnonymousUser) -> bool:
        return is_curator(user)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        """Return the curated fields of the entry's runtime by group, and what SAM keeps.

        The question comes first.
        """
        unused = list_unused_fields(runtime_asked(request, obj))
        groups: list[tuple[Any, Any]] = []
        for title, rows in group_curated_fields().items():
            shown = [tuple(name for name in row if name not in unused) for row in rows]
            if any(shown):
                groups.append(_group(title, [row for row in shown if row]))
        if obj is not None and self.has_change_permission(request, obj):
            groups.insert(0, (None, {"fields": (CONFIRM,)}))
        return [*groups, _group("Kept by SAM", [KEPT_BY_SAM])]

    def get_form(
        self, request: HttpRequest, obj: Any = None, *args: Any, **kwargs: Any
    ) -> type[forms.ModelForm[Any]]:
        kwargs |= {"help_texts": CATALOG_HELP, "labels": {"sha256": "SHA-256"}}
        return super().get_form(request, obj, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CatalogModel]:
        # Joined and grouped, the copies of all entries would be counted for a page of them.
        copies = ModelCopy.objects.filter(
            revision__model=OuterRef("pk"), status=CopyStatus.DOWNLOADED
        )
        hosts = copies.order_by().values("revision__model")
        counted = hosts.annotate(hosts=Count("host", distinct=True)).values("hosts")
        rows: QuerySet[CatalogModel] = super().get_queryset(request)
        return rows.annotate(host_count=Coalesce(Subquery(counted), 0))

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
        """Whether this person moves files: operators, and curators, who answer for what is offered."""
        return is_operator(request.user) or is_curator(request.user)

    @admin.action(description="Recommend", permissions=["change"])
    def recommend(self, request: HttpRequest, queryset: QuerySet[CatalogModel]) -> None:
        self._set_recommended(request, queryset, recommended=True)

    @admin.action(description="Recommend no more", permissions=["change"])
    def recommend_no_more(self, request: HttpRequest, queryset: QuerySet[CatalogModel]) -> None:
        self._set_recommended(request, queryset, recommended=False)

    @admin.action(description="Download to a host", permissions=["operate"])
    def download(self, request: HttpRequest, queryset: QuerySet[CatalogModel]) -> None:
        host = request.POST.get("host") or None

        def start(library: ModelLibraryManager, model_id: str, actor: User) -> None:
            library.start_download(model_id, host=host, actor=actor)

        self._each(request, queryset, start, ("download started", "downloads started"))

    @admin.action(description="Verify the files on all hosts", permissions=["operate"])
    def verify_files(self, request: HttpRequest, queryset: QuerySet[CatalogModel]) -> None:
        def start(library: ModelLibraryManager, model_id: str, actor: User) -> None:
            _require_files(library.verify_model(model_id, actor=actor), model_id)

        self._each(
            request, queryset, start, ("model is being verified", "models are being verified")
        )

    @admin.action(description="Delete the files from all hosts", permissions=["operate"])
    def delete_files(self, request: HttpRequest, queryset: QuerySet[CatalogModel]) -> None:
        def start(library: ModelLibraryManager, model_id: str, actor: User) -> None:
            _require_files(library.delete_model(model_id, actor=actor), model_id)

        done = ("model's files are being deleted", "models' files are being deleted")
        self._each(request, queryset, start, done)

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[CatalogModel],
        start: Callable[[ModelLibraryManager, str, User], None],
        done: tuple[str, str],
    ) -> None:
        library, actor = get_model_library_manager(), cast("User", request.user)

        def act(model: Any) -> None:
            start(library, model.model_id, actor)

        report_each(self, request, queryset, act, done=done)

    def _set_recommended(
        self, request: HttpRequest, queryset: QuerySet[CatalogModel], *, recommended: bool
    ) -> None:
        changed = CatalogModel.objects.filter(
            pk__in=queryset.values("pk"), recommended=not recommended
        ).update(recommended=recommended)
        word = "recommended" if recommended else "recommended no more"
        sentence = count_rows(changed, f"model is now {word}.", f"models are now {word}.")
        self.message_user(request, sentence, messages.SUCCESS)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Save an entry; who uses one that is withdrawn by this is told."""
        with telling_of_withdrawals():
            super().save_model(request, obj, form, change)
        proposed = differing_instructions(obj)
        if proposed is not None:
            self.message_user(
                request, f"{describe_instructions(proposed)} This entry has others.", messages.INFO
            )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Propose an embedder's instructions to whoever enters one that SAM knows."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        known = instructions_of_place(initial)
        if known is None:
            return initial
        asked = {"query_prefix": known.query_prefix, "document_prefix": known.document_prefix}
        return {"role": ModelRole.EMBEDDING, **asked, **initial}

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
        with telling_of_withdrawals():
            changed = chosen.update(published=published)
        word = "published" if published else "unpublished"
        sentence = count_rows(changed, f"model is now {word}.", f"models are now {word}.")
        self.message_user(request, sentence, messages.SUCCESS)


def _group(title: str, rows: list[tuple[str, ...]]) -> tuple[str | None, dict[str, Any]]:
    """Return a group of fields; one with a title is a tab."""
    return title or None, {"fields": rows, "classes": ["tab"] if title else []}


def _require_files(started: bool, model_id: str) -> None:  # noqa: FBT001 - what the manager answers
    if not started:
        raise NotFoundError(f"No host has a file of {model_id}.")
