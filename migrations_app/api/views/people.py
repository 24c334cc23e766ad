"""One's own preference, prompts and adapters."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from engines.models import (
    EnginePreference,
    LoraAdapter,
)
from engines.services.catalog.entries import catalog_visible_to, is_offered
from engines.services.catalog.resolving import pinned_revision
from engines.services.engine_choice import effective_engine
from engines.services.people.adapters import (
    keep_upload,
    set_enabled,
)
from engines.services.people.preferences import (
    Prompts,
    choose_preference,
    edit_prompts,
    has_prompts,
    lock_preference,
    preference_of,
    prompt_families_of,
    prompts_of,
)
from engines.services.people.roles import roles_of
from migrations_app.api.base import ApiView, Rows, check_if_match, row_or_404, validated
from migrations_app.api.parsers import (
    MAX_ADAPTER_UPLOAD_BYTES,
    StrictFormParser,
    StrictJSONParser,
    uploaded_to_disk,
)
from migrations_app.api.schema import ETAG, IF_MATCH, LOCATION
from migrations_app.api.serializers.people import (
    AdapterPatchSerializer,
    AdapterSerializer,
    AdapterUploadSerializer,
    MeSerializer,
    PreferencePatchSerializer,
    PreferenceSerializer,
    PromptsPatchSerializer,
    PromptsSerializer,
)
from migrations_app.limits.held import UPLOADS, holding
from migrations_app.people import delete_adapter


class MeView(ApiView):
    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Tell who the caller is and may be."""
        engine, _ = effective_engine(self.caller)
        me = {
            "id": self.caller.pk,
            "username": self.caller.get_username(),
            "roles": sorted(roles_of(self.caller)),
            "groups": sorted(self.caller.groups.values_list("name", flat=True)),
            "active_engine_id": engine.model_id if engine else None,
        }
        return Response(MeSerializer(me).data)


class PreferenceView(ApiView):
    """The person's active engine, versioned: a change names the version it was made on."""

    @extend_schema(responses=PreferenceSerializer, parameters=[ETAG])
    def get(self, request: Request) -> Response:
        """Read the ``engine_upgrade`` settings."""
        return self._shown(preference_of(self.caller))

    @extend_schema(
        request=PreferencePatchSerializer,
        responses=PreferenceSerializer,
        parameters=[IF_MATCH, ETAG],
    )
    def patch(self, request: Request) -> Response:
        """Choose an engine at once, when nothing has to move along (409: create a plan)."""
        asked = validated(PreferencePatchSerializer(data=request.data))
        check_if_match(request, _etag(preference_of(self.caller).version))
        engine = row_or_404(catalog_visible_to(self.caller), model_id=asked["active_engine_id"])
        revision = pinned_revision(engine)
        with transaction.atomic():
            preference = lock_preference(self.caller.pk)
            check_if_match(request, _etag(preference.version))
            chosen = choose_preference(
                self.caller,
                engine,
                revision,
                expected_version=preference.version,
                why="Chosen by the person.",
            )
        return self._shown(chosen)

    def _shown(self, preference: EnginePreference) -> Response:
        engine, _ = effective_engine(self.caller)
        answer = {
            "version": preference.version,
            "engine_upgrade": preference.engine_upgrade,
            "effective_engine_id": engine.model_id if engine else None,
            "prompt_family": preference.prompt_family,
            "is_offered": engine is None or is_offered(self.caller, engine),
        }
        return Response(
            PreferenceSerializer(answer).data, headers={"ETag": _etag(preference.version)}
        )


class PromptViews(ApiView):
    """The prompts of every family the person has edited or the catalog knows."""

    @extend_schema(operation_id="prompts_list", responses=PromptsSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the prompts in force, by family."""
        shown = [prompts_of(self.caller, family) for family in prompt_families_of(self.caller)]
        return Response(PromptsSerializer(shown, many=True).data)


class FamilyPromptsView(ApiView):
    """The prompts of one family; edits wait for its return and never leak into another."""

    @extend_schema(responses=PromptsSerializer, parameters=[ETAG])
    def get(self, request: Request, family: str) -> Response:
        """Read one family's prompts with one's own edits laid over them."""
        return self._shown(prompts_of(self.caller, _known_family(self.caller, family)))

    @extend_schema(
        request=PromptsPatchSerializer, responses=PromptsSerializer, parameters=[IF_MATCH, ETAG]
    )
    def patch(self, request: Request, family: str) -> Response:
        """Edit one's own prompts of a family; null takes an edit back."""
        edits = validated(PromptsPatchSerializer(data=request.data))
        _known_family(self.caller, family)
        with transaction.atomic():
            lock_preference(self.caller.pk)
            check_if_match(request, _prompts_etag(prompts_of(self.caller, family)))
            return self._shown(edit_prompts(self.caller, family, edits))

    def _shown(self, prompts: Prompts) -> Response:
        return Response(PromptsSerializer(prompts).data, headers={"ETag": _prompts_etag(prompts)})


class AdapterViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[LoraAdapter]):
    """One's own LoRA adapters; a switch invalidates them and notes why, a rollback restores them."""

    serializer_class = AdapterSerializer
    parser_classes = (StrictFormParser, StrictJSONParser)
    max_upload_bytes = MAX_ADAPTER_UPLOAD_BYTES
    lookup_value_regex = "[0-9]{1,18}"
    queryset = LoraAdapter.objects.none()

    def get_queryset(self) -> QuerySet[LoraAdapter]:
        rows = LoraAdapter.objects.filter(user=self.caller)
        return rows.select_related("base_revision__model")

    @extend_schema(
        request={"multipart/form-data": AdapterUploadSerializer},
        responses={201: AdapterSerializer},
        parameters=[LOCATION],
    )
    def create(self, request: Request) -> Response:
        """Upload a LoRA adapter, in GGUF or as PEFT saved it, for one model of the catalog."""
        # Before the body is parsed: who has as many under way as is allowed costs nothing more.
        with holding(self.caller.pk, UPLOADS):
            adapter = self._kept(validated(AdapterUploadSerializer(data=request.data)))
        location = reverse("api:adapter-detail", kwargs={"pk": adapter.pk})
        return Response(
            AdapterSerializer(adapter).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": location},
        )

    @extend_schema(request=AdapterPatchSerializer, responses=AdapterSerializer)
    def partial_update(self, request: Request, **lookup: Any) -> Response:
        """Let an adapter be loaded with its engine, or not."""
        asked = validated(AdapterPatchSerializer(data=request.data))
        adapter = set_enabled(self.get_object().pk, enabled=asked["enabled"])
        return Response(AdapterSerializer(adapter).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **lookup: Any) -> Response:
        """Delete an adapter with its file."""
        delete_adapter(self.get_object().pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _kept(self, asked: Any) -> LoraAdapter:
        model = row_or_404(catalog_visible_to(self.caller), model_id=asked["base_model"])
        if commit := asked.get("base_commit"):
            revision = row_or_404(model.revisions.all(), commit=commit)
        else:
            revision = pinned_revision(model)
        with uploaded_to_disk(asked["file"], "adapter") as path:
            return keep_upload(self.caller, asked["name"], revision, path, asked.get("config"))


def _known_family(user: User, family: str) -> str:
    if not has_prompts(user, family):
        raise NotFound
    return family


def _etag(version: int) -> str:
    return f'"{version}"'


def _prompts_etag(prompts: Prompts) -> str:
    return f'"{prompts.digest}"'
