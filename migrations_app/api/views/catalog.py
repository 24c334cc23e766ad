"""The catalog, and downloads of its models to hosts."""

from __future__ import annotations

from typing import Any, Protocol

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from engines.exceptions import ConflictError
from engines.models import CatalogModel, ModelCopy
from engines.services.people.roles import is_operator
from engines.services.people.withdrawals import telling_of_withdrawals
from migrations_app.api.base import ApiView, Rows, refuse_content, validated
from migrations_app.api.idempotency import idempotent
from migrations_app.api.permissions import CuratorWrites, OperatorOnly, StaffOnly
from migrations_app.api.schema import LOCATION
from migrations_app.api.serializers.catalog import (
    CatalogModelSerializer,
    ClearUnsafeSerializer,
    ModelStatusSerializer,
    TrialCreateSerializer,
    TrialSerializer,
)
from migrations_app.api.serializers.plans import DownloadCreateSerializer, PlanSerializer
from migrations_app.api.throttles import WorkThrottle
from migrations_app.api.views.plans import plan_location
from migrations_app.library import (
    ModelLibraryManager,
    catalog_shown_to,
    get_model_library_manager,
)
from migrations_app.models import Plan
from migrations_app.plans.visibility import plans_visible_to
from migrations_app.states import PlanKind

OPERATORS = (IsAuthenticated, OperatorOnly)
OK = status.HTTP_200_OK
ACCEPTED = status.HTTP_202_ACCEPTED
NO_CONTENT = status.HTTP_204_NO_CONTENT


class LibraryAction(Protocol):
    """What the library does with every host's copy of a model; False when there is none."""

    def __call__(
        self, library: ModelLibraryManager, model_id: str, /, *, actor: User | None
    ) -> bool: ...


class CatalogViews(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    Rows[CatalogModel],
):
    """Models: published ones for everybody they are allowed to, all of them for the staff."""

    serializer_class = CatalogModelSerializer
    permission_classes = (IsAuthenticated, CuratorWrites)
    http_method_names = ["get", "head", "options", "post", "patch", "delete"]
    lookup_field = "model_id"
    lookup_value_regex = "[a-z0-9][a-z0-9._:-]{0,127}"
    page_ordering = ("model_id",)
    queryset = CatalogModel.objects.none()

    def perform_update(self, serializer: BaseSerializer[CatalogModel]) -> None:
        with telling_of_withdrawals():
            serializer.save()

    def get_queryset(self) -> QuerySet[CatalogModel]:
        rows = catalog_shown_to(self.request.user)
        return rows.select_related("embedding_model", "current_revision").prefetch_related(
            "allowed_groups"
        )

    @extend_schema(responses=ModelStatusSerializer)
    @action(detail=True, methods=["get"])
    def status(self, request: Request, **lookup: Any) -> Response:
        """Tell whether a model is downloaded anywhere, and what each host holds."""
        return self._status_of(request, self.get_object())

    @extend_schema(request=ClearUnsafeSerializer, responses=ModelStatusSerializer)
    @action(
        detail=True,
        methods=["post"],
        url_path="clear-unsafe",
        permission_classes=OPERATORS,
    )
    def clear_unsafe(self, request: Request, **lookup: Any) -> Response:
        """Let copies that crashed an engine be used again."""
        model = self.get_object()
        asked = validated(ClearUnsafeSerializer(data=request.data))
        if not get_model_library_manager().clear_unsafe(model.model_id, host=asked.get("host")):
            raise ConflictError(f"{model.model_id} is not marked unsafe there.")
        return self._status_of(request, model)

    @extend_schema(request=TrialCreateSerializer, responses=TrialSerializer)
    @action(
        detail=True,
        methods=["post"],
        url_path="try",
        permission_classes=(IsAuthenticated, StaffOnly),
        throttle_classes=(*ApiView.throttle_classes, WorkThrottle),
    )
    def try_model(self, request: Request, **lookup: Any) -> Response:
        """Ask a model a question on a host before it is offered; nothing is kept."""
        model = self.get_object()
        asked = validated(TrialCreateSerializer(data=request.data))
        trial = get_model_library_manager().try_model(
            model.model_id, asked["question"], host=asked.get("host"), actor=self.actor
        )
        return Response(TrialSerializer(trial).data)

    @extend_schema(request=None, responses={202: ModelStatusSerializer})
    @action(detail=True, methods=["post"], permission_classes=OPERATORS)
    def verify(self, request: Request, **lookup: Any) -> Response:
        """Hash every host's copy again; each is a plan."""
        return self._started(request, ModelLibraryManager.verify_model)

    @extend_schema(request=None, responses={202: ModelStatusSerializer})
    @action(detail=True, methods=["post"], url_path="delete-files", permission_classes=OPERATORS)
    def delete_files(self, request: Request, **lookup: Any) -> Response:
        """Delete every host's copy of what nobody needs; the entry stays."""
        return self._started(request, ModelLibraryManager.delete_model)

    @extend_schema(request=None, responses={202: ModelStatusSerializer})
    @action(detail=True, methods=["post"], url_path="cancel-download", permission_classes=OPERATORS)
    def cancel_download(self, request: Request, **lookup: Any) -> Response:
        """Cancel the open downloads on every host."""
        return self._started(request, ModelLibraryManager.cancel_download)

    @extend_schema(request=None, responses={202: ModelStatusSerializer})
    @action(detail=True, methods=["post"], url_path="pause-download", permission_classes=OPERATORS)
    def pause_download(self, request: Request, **lookup: Any) -> Response:
        """Pause the running downloads on every host; what has arrived stays there."""
        return self._started(request, ModelLibraryManager.pause_download)

    @extend_schema(request=None, responses={202: ModelStatusSerializer})
    @action(detail=True, methods=["post"], url_path="resume-download", permission_classes=OPERATORS)
    def resume_download(self, request: Request, **lookup: Any) -> Response:
        """Have the paused downloads go on, on every host."""
        return self._started(request, ModelLibraryManager.resume_download)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **lookup: Any) -> Response:
        """Delete an entry that nothing stands on; 409 names who uses it."""
        get_model_library_manager().delete_entry(self.get_object().model_id)
        return Response(status=NO_CONTENT)

    def _started(self, request: Request, act: LibraryAction) -> Response:
        refuse_content(request)
        model = self.get_object()
        if not act(get_model_library_manager(), model.model_id, actor=self.actor):
            raise ConflictError("There is nothing to do this to on any host.")
        return self._status_of(request, model, ACCEPTED)

    def _status_of(self, request: Request, model: CatalogModel, code: int = OK) -> Response:
        library = get_model_library_manager()
        copies = ModelCopy.objects.filter(revision__model=model).select_related("host")
        answer = {
            "model_id": model.model_id,
            "status": library.get_model_status(model.model_id),
            "progress": library.get_download_progress(model.model_id),
            "copies": copies.order_by("host__name") if is_operator(request.user) else [],
        }
        return Response(ModelStatusSerializer(answer).data, status=code)


class DownloadViews(mixins.ListModelMixin, Rows[Plan]):
    """Downloads are plans: their address is the plan's."""

    serializer_class = PlanSerializer
    permission_classes = OPERATORS
    throttle_classes = (*ApiView.throttle_classes, WorkThrottle)
    page_ordering = ("-created_at", "id")
    queryset = Plan.objects.none()

    def get_queryset(self) -> QuerySet[Plan]:
        return plans_visible_to(self.request.user).filter(kind=PlanKind.DOWNLOAD)

    @extend_schema(
        request=DownloadCreateSerializer, responses={202: PlanSerializer}, parameters=[LOCATION]
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Start to download a model to a host."""
        asked = validated(DownloadCreateSerializer(data=request.data))
        plan = get_model_library_manager().start_download(
            asked["model_id"], host=asked.get("host"), actor=self.actor
        )
        return Response(
            PlanSerializer(plan, context=self.get_serializer_context()).data,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": plan_location(plan.pk)},
        )
