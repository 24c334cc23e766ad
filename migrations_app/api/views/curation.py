"""The catalog as one file, and the prompts of families."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from msgspec import to_builtins
from rest_framework import mixins
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from engines.models import Host, HostStatus, PromptTemplate
from engines.services.catalog.fit import machine_of
from engines.services.catalog.hub_search import choose_hub_file, list_hub_files, suggest_entry
from engines.services.people.preferences import set_template
from engines.transfer.hub_place import HubPlace
from migrations_app.api.base import ApiView, Rows, validated
from migrations_app.api.permissions import CuratorOnly, CuratorWrites, StaffOnly
from migrations_app.api.serializers.curation import (
    CatalogDocumentSerializer,
    CatalogFileSerializer,
    HubFilesQuerySerializer,
    HubFilesSerializer,
    ImportReportSerializer,
    PromptTemplatePutSerializer,
    PromptTemplateSerializer,
)
from migrations_app.library import get_model_library_manager

FAMILY = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


class CatalogFileView(ApiView):
    """The whole catalog in the seed's JSON: what an export gives, an import takes."""

    permission_classes = (IsAuthenticated, CuratorOnly)

    @extend_schema(responses=CatalogDocumentSerializer)
    def get(self, request: Request) -> Response:
        """Export the catalog with everything that curators set."""
        return Response(get_model_library_manager().export_catalog())

    @extend_schema(request=CatalogFileSerializer, responses=ImportReportSerializer)
    def post(self, request: Request) -> Response:
        """Import a catalog, or the starter one; each bad entry is reported and changes nothing."""
        asked = validated(CatalogFileSerializer(data=request.data))
        library = get_model_library_manager()
        options = {"overwrite": asked["overwrite"], "confirmed": asked["confirm"]}
        if "models" in asked:
            report = library.import_catalog({"models": asked["models"]}, **options)
        else:
            report = library._create_default_catalog(**options)
        return Response(ImportReportSerializer(to_builtins(report)).data)


class HubFilesView(ApiView):
    """The GGUF models of a repository at the configured Hub; nothing is downloaded."""

    permission_classes = (IsAuthenticated, CuratorOnly)
    query_parameters = frozenset({"repo"})

    @extend_schema(parameters=[HubFilesQuerySerializer], responses=HubFilesSerializer)
    def get(self, request: Request) -> Response:
        """List them with their sizes, and mark the best for our hosts."""
        asked = validated(HubFilesQuerySerializer(data=request.query_params.dict()))["repo"]
        place = HubPlace.parse(asked, settings.HF_ENDPOINT)
        hosts = Host.objects.filter(status=HostStatus.ACTIVE)
        files = list_hub_files(place, map(machine_of, hosts))
        answer = {
            "repo": place.repo,
            "revision": place.revision,
            "suggested": suggest_entry(place.repo),
            "files": files,
            "chosen": choose_hub_file(place, files),
        }
        return Response(HubFilesSerializer(answer).data)


class PromptTemplateViews(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    Rows[PromptTemplate],
):
    """What each family of engines is told; people's own edits are laid over it and stay theirs."""

    serializer_class = PromptTemplateSerializer
    permission_classes = (IsAuthenticated, StaffOnly, CuratorWrites)
    lookup_field = "family"
    lookup_value_regex = FAMILY
    page_ordering = ("family",)
    queryset = PromptTemplate.objects.none()

    def get_queryset(self) -> QuerySet[PromptTemplate]:
        return PromptTemplate.objects.all()

    @extend_schema(request=PromptTemplatePutSerializer, responses=PromptTemplateSerializer)
    def update(self, request: Request, family: str, **lookup: Any) -> Response:
        """Write a family's prompts; whoever edited theirs keeps the edit."""
        texts = validated(PromptTemplatePutSerializer(data=request.data))
        return Response(PromptTemplateSerializer(set_template(family, texts)).data)
