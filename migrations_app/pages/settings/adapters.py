"""One's adapters: brought in, switched on and off, deleted; and what a move made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from engines.exceptions import SamError
from engines.models import CatalogModel, LoraAdapter, ModelRole
from engines.services.catalog.entries import catalog_visible_to
from engines.services.catalog.resolving import pinned_revision
from engines.services.people.adapters import keep_upload, retraining_of, set_enabled
from migrations_app.api.parsers import MAX_ADAPTER_UPLOAD_BYTES, uploaded_to_disk
from migrations_app.limits.held import UPLOADS, holding
from migrations_app.models import Plan
from migrations_app.pages.base import PageView
from migrations_app.pages.components import paginate
from migrations_app.pages.forms import PageForm
from migrations_app.pages.uploads import UploadView
from migrations_app.people import delete_adapter
from migrations_app.plans.housekeeping import retained_plans


class AdapterForm(PageForm):
    """What is brought in, and for which engine it was trained."""

    name = forms.CharField(max_length=127, help_text="Letters, digits, spaces and . _ - only.")
    base_model: forms.ModelChoiceField[CatalogModel] = forms.ModelChoiceField(
        CatalogModel.objects.none(), label="Trained for", empty_label="Choose an engine"
    )
    file = forms.FileField(
        label="Adapter",
        help_text="A LoRA adapter in GGUF, or adapter_model.safetensors as PEFT saved it.",
    )
    config = forms.FileField(
        required=False,
        label="adapter_config.json",
        help_text="With PEFT’s file only.",
    )

    def __init__(self, *args: Any, engines: QuerySet[CatalogModel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["base_model"]
        field.queryset = engines
        field.label_from_instance = _name_of


def _name_of(engine: CatalogModel) -> str:
    return engine.display_name


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Which move left an adapter behind, and until when that can be taken back; empty: not any more."""

    since: datetime | None
    from_engine: str
    to_engine: str
    href: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class AdapterLine:
    """An adapter, with what happened to it."""

    adapter: LoraAdapter
    left: LeftBehind | None


class AdaptersView(UploadView):
    """The list, and a form for one more."""

    title: ClassVar[str] = "Adapters"
    section: ClassVar[str] = "settings"
    template_name: ClassVar[str] = "pages/settings/adapters.html"
    max_upload_bytes: ClassVar[int] = MAX_ADAPTER_UPLOAD_BYTES

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        return self._show(AdapterForm(engines=self._engines()))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Bring one in."""
        form = AdapterForm(request.POST, request.FILES, engines=self._engines())
        if not form.is_valid():
            return self._show(form, status=400)
        try:
            with holding(self.person.pk, UPLOADS):
                adapter = self._keep(form.cleaned_data)
        except SamError as error:
            form.refuse(error)
            return self._show(form, status=400)
        messages.success(request, f"“{adapter.name}” is kept; it is loaded with its engine.")
        return self.go("settings-adapters")

    def _keep(self, asked: dict[str, Any]) -> LoraAdapter:
        revision = pinned_revision(asked["base_model"])
        with uploaded_to_disk(asked["file"], "adapter") as path:
            return keep_upload(self.person, asked["name"], revision, path, asked["config"])

    def _engines(self) -> QuerySet[CatalogModel]:
        chat = catalog_visible_to(self.person).filter(
            runtime=CatalogModel.FILE_RUNTIME, role=ModelRole.CHAT
        )
        return chat.order_by("display_name", "pk")

    def _show(self, form: AdapterForm, status: int = 200) -> HttpResponse:
        rows = LoraAdapter.objects.filter(user=self.person).select_related("base_revision__model")
        page = paginate(self.request, rows.order_by("name"))
        lines = _lines(list(page))
        left = sum(line.left is not None for line in lines)
        return self.render(
            {"form": form, "page": page, "lines": lines, "left": left}, status=status
        )


def _lines(adapters: Sequence[LoraAdapter]) -> list[AdapterLine]:
    """Tell of each what left it behind; which moves may be taken back is asked once."""
    needed = {adapter.pk: retraining_of(adapter) for adapter in adapters}
    plans = {key for one in needed.values() if one and (key := _plan_key(one.migration_id))}
    known = {plan.pk: plan for plan in Plan.objects.filter(pk__in=plans)} if plans else {}
    kept = (
        set(retained_plans().filter(pk__in=plans).values_list("pk", flat=True)) if plans else set()
    )

    def left(adapter: LoraAdapter) -> LeftBehind | None:
        note = needed[adapter.pk]
        if note is None:
            return None
        key = _plan_key(note.migration_id)
        plan = known.get(key) if key else None
        return LeftBehind(
            since=parse_datetime(note.since) if note.since else None,
            from_engine=note.from_engine,
            to_engine=note.to_engine,
            href=reverse("plan", args=[plan.pk]) if plan else "",
            until=plan.retention_until if plan and plan.pk in kept else None,
        )

    return [AdapterLine(adapter, left(adapter)) for adapter in adapters]


def _plan_key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


class AdapterPage(PageView):
    """What is done to one adapter of one's own."""

    section: ClassVar[str] = "settings"

    def adapter(self, adapter_id: int) -> LoraAdapter:
        """Return it; Http404 for somebody else's."""
        found = LoraAdapter.objects.filter(user=self.person, pk=adapter_id).first()
        if found is None:
            raise Http404
        return found


class AdapterSwitchView(AdapterPage):
    """On or off."""

    def post(self, request: HttpRequest, adapter_id: int) -> HttpResponse:
        """Let it be loaded with its engine, or not."""
        is_on = request.POST.get("enabled") == "1"
        adapter = set_enabled(self.adapter(adapter_id).pk, enabled=is_on)
        messages.success(request, f"“{adapter.name}” is switched {'on' if is_on else 'off'}.")
        return self.go("settings-adapters")


class AdapterDeleteView(AdapterPage):
    """The end of an adapter."""

    def post(self, request: HttpRequest, adapter_id: int) -> HttpResponse:
        """Delete it with its file."""
        adapter = self.adapter(adapter_id)
        delete_adapter(adapter.pk)
        messages.success(request, f"“{adapter.name}” is deleted.")
        return self.go("settings-adapters")
