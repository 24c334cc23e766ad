"""Plans: create, preview, execute, cancel, roll back; pause, resume, retry, abandon and move for operators."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Prefetch, QuerySet
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from engines.services.people.roles import is_operator
from migrations_app.api.base import ApiView, Rows, refuse_content, validated
from migrations_app.api.idempotency import idempotent
from migrations_app.api.permissions import OperatorOnly
from migrations_app.api.schema import LOCATION
from migrations_app.api.serializers.plans import (
    PlanChangeSerializer,
    PlanCreateSerializer,
    PlanDetailSerializer,
    PlanMoveSerializer,
    PlanSerializer,
    tells_content,
)
from migrations_app.api.throttles import WorkThrottle
from migrations_app.controller import MigrationController, get_migration_controller
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.plans.transitions import PlanChange
from migrations_app.plans.visibility import plans_visible_to

CONTENT_KEYS = frozenset({"adapters", "bases", "prompts", "lost_uses"})
"""Parts of a preview that tell what a person has or wrote."""


def plan_location(plan_id: object) -> str:
    """Return the address of a plan."""
    return reverse("api:plan-detail", kwargs={"id": str(plan_id)})


class PlanViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[Plan]):
    """One's own plans; operators run all of them, without their content."""

    serializer_class = PlanSerializer
    throttle_classes = (*ApiView.throttle_classes, WorkThrottle)
    lookup_field = "id"
    lookup_value_regex = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    page_ordering = ("-created_at", "id")
    queryset = Plan.objects.none()

    def get_queryset(self) -> QuerySet[Plan]:
        rows = plans_visible_to(self.request.user)
        if self.action == "list":
            return rows
        return rows.prefetch_related(
            Prefetch("steps", Step.objects.select_related("host").order_by("position")),
            Prefetch("events", PlanEvent.objects.select_related("step").order_by("id")),
        )

    def get_serializer_class(self) -> type[BaseSerializer[Plan]]:
        return PlanSerializer if self.action == "list" else PlanDetailSerializer

    @property
    def controller(self) -> MigrationController:
        return get_migration_controller()

    @extend_schema(
        request=PlanCreateSerializer, responses={201: PlanDetailSerializer}, parameters=[LOCATION]
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Plan a migration; nothing starts before it is executed."""
        asked = validated(PlanCreateSerializer(data=request.data))
        plan_id = self.controller.create_migration_plan(
            asked["from_engine"],
            asked["to_engine"],
            str(self._person(asked.get("user_id")).pk),
            backup_lora=asked["backup_lora"],
            re_embed=asked["re_embed"],
            update_prompts=asked["update_prompts"],
            accept_losses=asked["accept_losses"],
            not_before=asked["not_before"],
            actor=self.actor,
        )
        return self._plan(plan_id, status.HTTP_201_CREATED)

    @extend_schema(request=PlanChangeSerializer, responses=PlanDetailSerializer)
    def partial_update(self, request: Request, **lookup: Any) -> Response:
        """Give a plan that has not started other options or another time.

        It is to be executed again after that.
        """
        plan = self.get_object()
        asked = validated(PlanChangeSerializer(data=request.data))
        at_once = "not_before" in asked and asked["not_before"] is None
        change = PlanChange(**asked, at_once=at_once)
        self.controller.change_migration(plan.pk, change, actor=self.actor)
        return self._plan(str(plan.pk), status.HTTP_200_OK)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True, methods=["get"])
    def preview(self, request: Request, **lookup: Any) -> Response:
        """Tell what the plan would do, to what, where, and for how long."""
        plan = self.get_object()
        preview = self.controller.preview_migration(str(plan.pk))
        tells = tells_content(plan, request.user)
        shown = {k: v for k, v in preview.items() if tells or k not in CONTENT_KEYS}
        return Response(shown)

    @extend_schema(request=None, responses={202: PlanDetailSerializer}, parameters=[LOCATION])
    @action(detail=True, methods=["post"])
    @idempotent
    def execute(self, request: Request, **lookup: Any) -> Response:
        """Start the plan, or have it start at its time; the old engine serves until the new one is proven."""
        plan_id = self._asked()
        self.controller.execute_migration(plan_id, actor=self.actor)
        return self._plan(plan_id, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: PlanDetailSerializer}, parameters=[LOCATION])
    @action(detail=True, methods=["post"])
    @idempotent
    def cancel(self, request: Request, **lookup: Any) -> Response:
        """Stop an open plan; what is running ends at its next checkpoint."""
        plan_id = self._asked()
        self.controller.cancel_migration(plan_id, actor=self.actor)
        return self._plan(plan_id, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: PlanDetailSerializer}, parameters=[LOCATION])
    @action(detail=True, methods=["post"], permission_classes=[IsAuthenticated, OperatorOnly])
    @idempotent
    def pause(self, request: Request, **lookup: Any) -> Response:
        """Have a download wait; what has arrived stays on its host."""
        plan_id = self._asked()
        self.controller.pause_migration(plan_id, actor=self.actor)
        return self._plan(plan_id, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: PlanDetailSerializer}, parameters=[LOCATION])
    @action(detail=True, methods=["post"], permission_classes=[IsAuthenticated, OperatorOnly])
    @idempotent
    def resume(self, request: Request, **lookup: Any) -> Response:
        """Have a paused download go on from what has arrived."""
        plan_id = self._asked()
        self.controller.resume_migration(plan_id, actor=self.actor)
        return self._plan(plan_id, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: PlanDetailSerializer}, parameters=[LOCATION])
    @action(detail=True, methods=["post"], url_path="roll-back", url_name="roll-back")
    @idempotent
    def roll_back(self, request: Request, **lookup: Any) -> Response:
        """Start the way back; the answer and its Location are the rollback plan's."""
        new_id = self.controller.roll_back_migration(self._asked(), actor=self.actor)
        return self._plan(new_id, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: PlanDetailSerializer}, parameters=[LOCATION])
    @action(detail=True, methods=["post"], permission_classes=[IsAuthenticated, OperatorOnly])
    @idempotent
    def retry(self, request: Request, **lookup: Any) -> Response:
        """Try a step again that waits for an operator."""
        plan_id = self._asked()
        self.controller.retry_step(plan_id, actor=self.actor)
        return self._plan(plan_id, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: PlanDetailSerializer}, parameters=[LOCATION])
    @action(detail=True, methods=["post"], permission_classes=[IsAuthenticated, OperatorOnly])
    @idempotent
    def abandon(self, request: Request, **lookup: Any) -> Response:
        """Give up what is left of a plan: before its switch all of it, after it what only follows."""
        plan_id = self._asked()
        self.controller.abandon_migration(plan_id, actor=self.actor)
        return self._plan(plan_id, status.HTTP_202_ACCEPTED)

    @extend_schema(
        request=PlanMoveSerializer, responses={202: PlanDetailSerializer}, parameters=[LOCATION]
    )
    @action(detail=True, methods=["post"], permission_classes=[IsAuthenticated, OperatorOnly])
    @idempotent
    def move(self, request: Request, **lookup: Any) -> Response:
        """Give what is left of a plan to another host."""
        plan_id = str(self.get_object().pk)
        asked = validated(PlanMoveSerializer(data=request.data))
        self.controller.move_migration(plan_id, asked.get("host"), actor=self.actor)
        return self._plan(plan_id, status.HTTP_202_ACCEPTED)

    def _asked(self) -> str:
        refuse_content(self.request)
        return str(self.get_object().pk)

    def _person(self, user_id: int | None) -> User:
        if user_id is None or user_id == self.request.user.pk:
            return self.caller
        if not is_operator(self.request.user):
            raise NotFound("There is no such person that you may move.")
        person = User.objects.filter(pk=user_id, is_active=True).first()
        if person is None:
            raise NotFound("There is no such person.")
        return person

    def _plan(self, plan_id: str, status_code: int) -> Response:
        plan = self.get_queryset().get(pk=plan_id)
        shown = PlanDetailSerializer(plan, context=self.get_serializer_context())
        return Response(
            shown.data,
            status=status_code,
            headers={"Location": plan_location(plan_id)},
        )
