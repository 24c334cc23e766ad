"""Pages of the catalog beside its list and form: an entry on our hosts, import, and the Hub's search."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse

from engines.exceptions import SamError
from engines.host_runtimes import engine_registry
from engines.models import CatalogModel, Host, HostStatus, ModelCopy, ModelRole
from engines.services.catalog.exchange import ImportReport
from engines.services.catalog.fit import Judgement, judge_alone, machine_of
from engines.services.catalog.hub_search import list_hub_files, search_hub, suggest_entry
from engines.services.catalog.usage import count_usage
from engines.services.people.roles import is_curator, is_operator
from engines.transfer.hub_place import HubPlace, is_hub_address
from migrations_app.library import get_model_library_manager
from migrations_app.trials import MAX_QUESTION, Trial, hosts_to_try

MAX_IMPORT_BYTES = 4 * 1024 * 1024
FILE_ACTIONS = {"download": "Download", "verify": "Verify", "delete": "Delete the files"}


@dataclass(frozen=True, slots=True)
class HostLine:
    """An entry on one host."""

    host: Host
    judgement: Judgement
    copies: list[ModelCopy]


class ImportForm(forms.Form):
    """A catalog in the seed's JSON."""

    document = forms.FileField(label="Catalog (JSON)")
    overwrite = forms.BooleanField(
        required=False, label="Take the file's values for entries that are there"
    )
    confirm = forms.BooleanField(required=False, label="Also change what moves people's vectors")

    def clean_document(self) -> dict[str, Any]:
        """Read the file; a list or anything else is no catalog."""
        file = self.cleaned_data["document"]
        if file.size > MAX_IMPORT_BYTES:
            raise forms.ValidationError("A catalog is smaller than 4 MiB.")
        try:
            read = json.loads(file.read())
        except ValueError as error:
            raise forms.ValidationError(f"This is not JSON: {error}") from error
        if not isinstance(read, dict):
            raise forms.ValidationError('A catalog is an object with "models".')
        return read


class TrialForm(forms.Form):
    """A question, and the host on which it is asked."""

    question = forms.CharField(
        label="Your question",
        max_length=MAX_QUESTION,
        widget=forms.Textarea(attrs={"rows": 3, "class": "input"}),
        help_text="It is asked as you would ask in chat, without knowledge. Nothing is kept.",
    )
    host = forms.ModelChoiceField(
        Host.objects.none(),
        required=False,
        label="On",
        empty_label="the first that has its file",
        widget=forms.Select(attrs={"class": "input"}),
    )

    def __init__(self, hosts: QuerySet[Host], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        host: Any = self.fields["host"]
        host.queryset = hosts


def runtime_asked(request: HttpRequest, entry: CatalogModel | None) -> str:
    """Return the runtime whose fields a form shows."""
    asked = request.POST.get("runtime") or request.GET.get("runtime")
    return asked or (entry.runtime if entry is not None else CatalogModel.FILE_RUNTIME)


class CatalogPages(admin.ModelAdmin[Any]):
    """The views; who may see and change is said by the admin that they are mixed into."""

    change_form_outer_before_template = "admin/catalog/entry.html"
    list_before_template = "admin/catalog/tools.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        own = [
            path("import/", view(self.import_view), name="catalog_import"),
            path("hub/", view(self.hub_view), name="catalog_hub"),
            path("<int:key>/files/<slug:action>/", view(self.files_view), name="catalog_files"),
            path("<int:key>/try/", view(self.try_view), name="catalog_try"),
        ]
        return [*own, *super().get_urls()]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show how the entry stands on our hosts above its form."""
        entry = self.get_object(request, object_id) if object_id else None
        shown = {
            "entry": entry,
            "runtimes": engine_registry().runtimes,
            "runtime": runtime_asked(request, entry),
            "may_move_files": _is_staff(request),
        }
        if entry is not None:
            shown |= {"usage": count_usage(entry).sentence, "host_lines": list_host_lines(entry)}
        context = {**shown, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def files_view(self, request: HttpRequest, key: int, action: str) -> HttpResponse:
        """Start what a button of an entry's page asks of its files."""
        if not _is_staff(request) or request.method != "POST":
            raise PermissionDenied
        entry = CatalogModel.objects.filter(pk=key).first()
        if entry is None or action not in FILE_ACTIONS:
            raise Http404
        try:
            said = self._move_files(request, entry.model_id, action)
        except SamError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, said, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:engines_catalogmodel_change", args=[key]))

    def _move_files(self, request: HttpRequest, model_id: str, action: str) -> str:
        library, actor = get_model_library_manager(), cast("User", request.user)
        if action == "download":
            host = request.POST.get("host") or None
            plan = library.start_download(model_id, host=host, actor=actor)
            return f"The download of {model_id} to {plan.host} has started."
        move = library.verify_model if action == "verify" else library.delete_model
        word = "verified" if action == "verify" else "deleted"
        if not move(model_id, actor=actor):
            return f"No host has a file of {model_id}."
        return f"The files of {model_id} are being {word}."

    def try_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Ask an entry a question on a host, and show its answer with how fast it came."""
        if not _is_staff(request):
            raise PermissionDenied
        entry = get_object_or_404(CatalogModel, pk=key, role=ModelRole.CHAT)
        form = TrialForm(hosts_to_try(entry), request.POST or None)
        trial: Trial | None = None
        if form.is_valid():
            chosen = form.cleaned_data["host"]
            try:
                trial = get_model_library_manager().try_model(
                    entry.model_id,
                    form.cleaned_data["question"],
                    host=chosen.name if chosen else None,
                    actor=cast("User", request.user),
                )
            except SamError as error:
                form.add_error(None, str(error))
        title = f"Ask {entry.display_name} a question"
        return self._page(request, "try", title, entry=entry, form=form, trial=trial)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Write the entries of a file, and tell of each what became of it."""
        if not is_curator(request.user):
            raise PermissionDenied
        form = ImportForm(request.POST or None, request.FILES or None)
        report: ImportReport | None = None
        if form.is_valid():
            cleaned = form.cleaned_data
            try:
                report = get_model_library_manager().import_catalog(
                    cleaned["document"],
                    overwrite=cleaned["overwrite"],
                    confirmed=cleaned["confirm"],
                )
            except SamError as error:
                form.add_error("document", str(error))
        return self._page(request, "import", "Import a catalog", form=form, report=report)

    def hub_view(self, request: HttpRequest) -> HttpResponse:
        """Search the Hub; a repository's files with the best one for our hosts marked."""
        if not is_curator(request.user):
            raise PermissionDenied
        words, repo = request.GET.get("q", ""), request.GET.get("repo", "")
        if is_hub_address(words, settings.HF_ENDPOINT):
            repo = words
        shown: dict[str, Any] = {
            "words": words,
            "found": [],
            "files": [],
            "problem": "",
            "place": None,
        }
        try:
            if repo:
                place = HubPlace.parse(repo, settings.HF_ENDPOINT)
                hosts = Host.objects.filter(status=HostStatus.ACTIVE)
                shown["files"] = list_hub_files(place, map(machine_of, hosts))
                shown |= {"place": place, "wanted": suggest_entry(place.repo)}
            elif words:
                shown["found"] = search_hub(words)
        except SamError as error:
            shown["problem"] = str(error)
        return self._page(request, "hub", "Search the Hub", **shown)

    def _page(self, request: HttpRequest, name: str, title: str, **shown: Any) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(request, f"admin/catalog/{name}.html", {**context, **shown})


def _is_staff(request: HttpRequest) -> bool:
    """Whether this person answers for what is offered, or for where it runs."""
    return is_operator(request.user) or is_curator(request.user)


def list_host_lines(entry: CatalogModel) -> list[HostLine]:
    """Judge an entry for each active host, and say which of its files lie there."""
    copies: dict[int, list[ModelCopy]] = {}
    for copy in ModelCopy.objects.filter(revision__model=entry).select_related("revision__model"):
        copies.setdefault(copy.host_id, []).append(copy)
    revision = entry.current_revision
    return [
        HostLine(host, judge_alone(entry, revision, machine_of(host)), copies.get(host.pk, []))
        for host in Host.objects.exclude(status=HostStatus.RETIRED)
    ]
