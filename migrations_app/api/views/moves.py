"""Mass moves: many people to one engine, planned and started in the background; operators only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from migrations_app.api.base import ApiView, Rows, refuse_content, validated
from migrations_app.api.idempotency import idempotent
from migrations_app.api.permissions import OperatorOnly
from migrations_app.api.schema import LOCATION
from migrations_app.api.serializers.moves import (
    MassMoveCreateSerializer,
    MassMoveDetailSerializer,
    MassMoveLineSerializer,
    MassMovePreviewSerializer,
    MassMoveSerializer,
    PeopleChoiceSerializer,
    RetriedSerializer,
    choice_of,
    options_of,
)
from migrations_app.api.throttles import WorkThrottle
from migrations_app.models import MassMove
from migrations_app.moves.choice import find_people
from migrations_app.moves.counts import count_states, with_states
from migrations_app.moves.mass_moves import (
    MassMoveWish,
    cancel_mass_move,
    require_target,
    retry_mass_move,
    start_mass_move,
)
from migrations_app.moves.meaning import preview_moves, sum_up
from migrations_app.states import MoveState

STATE = OpenApiParameter("state", str, enum=MoveState.values, description="Only people of it.")


class MassMoveViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[MassMove]):
    """Many people's moves to one engine."""

    serializer_class = MassMoveSerializer
    permission_classes = (IsAuthenticated, OperatorOnly)
    throttle_classes = (*ApiView.throttle_classes, WorkThrottle)
    lookup_value_regex = "[0-9]{1,18}"
    query_parameters = frozenset({"state"})
    queryset = MassMove.objects.none()

    def get_queryset(self) -> QuerySet[MassMove]:
        return MassMove.objects.select_related("to_engine", "created_by")

    def get_serializer_class(self) -> type[BaseSerializer[MassMove]]:
        return MassMoveSerializer if self.action == "list" else MassMoveDetailSerializer

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List the mass moves, the newest first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        context = {**self.get_serializer_context(), "counts": count_states(page)}
        return self.get_paginated_response(
            MassMoveSerializer(page, many=True, context=context).data
        )

    @extend_schema(
        request=MassMoveCreateSerializer,
        responses={202: MassMoveDetailSerializer},
        parameters=[LOCATION],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Move people: each gets a plan, made and started in the background."""
        asked = validated(MassMoveCreateSerializer(data=request.data))
        wish = MassMoveWish(asked["to_engine"], options_of(asked), asked["at_once"])
        move = start_mass_move(find_people(choice_of(asked)), wish, actor=self.actor)
        address = reverse("api:mass-move-detail", kwargs={"pk": move.pk})
        return self._move(move, status.HTTP_202_ACCEPTED, {"Location": address})

    @extend_schema(request=PeopleChoiceSerializer, responses=MassMovePreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """Tell what moving them would mean; nothing is made."""
        asked = validated(PeopleChoiceSerializer(data=request.data))
        engine = require_target(asked["to_engine"])
        total = asdict(sum_up(preview_moves(find_people(choice_of(asked)), engine)))
        reasons = [{"reason": why, "people": people} for why, people in total["refusals"]]
        return Response({**total, "refusals": reasons})

    @extend_schema(responses=MassMoveLineSerializer(many=True), parameters=[STATE])
    @action(detail=True, methods=["get"])
    def people(self, request: Request, **lookup: Any) -> Response:
        """List its people with what became of each."""
        lines: Any = with_states(self.get_object().lines.select_related("user"))
        if (state := request.query_params.get("state")) is not None:
            if state not in MoveState.values:
                raise ValidationError({"state": [f"Ask for one of {', '.join(MoveState.values)}."]})
            lines = lines.filter(state=state)
        page: Any = self.paginate_queryset(lines)
        return self.get_paginated_response(MassMoveLineSerializer(page, many=True).data)

    @extend_schema(request=None, responses=MassMoveDetailSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **lookup: Any) -> Response:
        """End the rest: nobody more is planned, and what has not switched is cancelled."""
        refuse_content(request)
        return self._move(cancel_mass_move(self.get_object()), status.HTTP_200_OK)

    @extend_schema(request=None, responses=RetriedSerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, **lookup: Any) -> Response:
        """Give who was refused, or whose plan failed, another turn."""
        refuse_content(request)
        return Response({"people": retry_mass_move(self.get_object())})

    def _move(self, move: MassMove, code: int, headers: dict[str, str] | None = None) -> Response:
        shown = self.get_queryset().get(pk=move.pk)
        return Response(MassMoveDetailSerializer(shown).data, status=code, headers=headers)
