"""Sealed backups: making, checking, putting back and letting go; never what is in them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from engines.services.people.roles import is_operator
from migrations_app.api.base import ApiView, Rows, refuse_content, row_or_404, validated
from migrations_app.api.idempotency import idempotent
from migrations_app.api.permissions import AdministratorDecides, OperatorOnly
from migrations_app.api.schema import LOCATION
from migrations_app.api.serializers.backups import (
    BackupCreateSerializer,
    BackupRulePutSerializer,
    BackupRuleSerializer,
    BackupSerializer,
    FoundSerializer,
    PrunedSerializer,
    PruneSerializer,
    RestoreSerializer,
)
from migrations_app.api.serializers.plans import PlanDetailSerializer
from migrations_app.api.throttles import WorkThrottle
from migrations_app.api.views.plans import plan_location
from migrations_app.backups import (
    delete_backup,
    find_backups,
    prune_backups,
    start_backup,
    start_restore,
    verify_backup,
)
from migrations_app.models import Backup, Plan
from migrations_app.plans.backup_plans import RestoreWish
from migrations_app.plans.backup_rules import clear_rule, rule_for, set_rule
from migrations_app.plans.visibility import backups_visible_to


class BackupViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[Backup]):
    """One's own backups; an operator sees that everybody's are there."""

    serializer_class = BackupSerializer
    throttle_classes = (*ApiView.throttle_classes, WorkThrottle)
    lookup_value_regex = "[0-9]{1,18}"
    queryset = Backup.objects.none()

    def get_queryset(self) -> QuerySet[Backup]:
        return backups_visible_to(self.request.user)

    @extend_schema(
        request=BackupCreateSerializer, responses={202: PlanDetailSerializer}, parameters=[LOCATION]
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Back a person up now; the answer is the plan that does it."""
        asked = validated(BackupCreateSerializer(data=request.data))
        return self._plan(start_backup(self._person(asked.get("person")), actor=self.actor))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **lookup: Any) -> Response:
        """Delete a backup with its key and its file; 409 while a plan may need it."""
        delete_backup(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=BackupSerializer)
    @action(detail=True, methods=["post"])
    def verify(self, request: Request, **lookup: Any) -> Response:
        """Read all of it as a restore would; 409 says what is wrong with it."""
        refuse_content(request)
        verify_backup(self.get_object())
        return Response(BackupSerializer(self.get_object()).data)

    @extend_schema(
        request=RestoreSerializer, responses={202: PlanDetailSerializer}, parameters=[LOCATION]
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def restore(self, request: Request, **lookup: Any) -> Response:
        """Put it back; the answer is the plan that does it. Nothing changes before all of it was read."""
        backup = self.get_object()
        asked = validated(RestoreSerializer(data=request.data))
        plan = start_restore(backup, self._wish(backup, asked), actor=self.actor)
        return self._plan(plan)

    @extend_schema(request=PruneSerializer, responses=PrunedSerializer)
    @action(detail=False, methods=["post"])
    def prune(self, request: Request) -> Response:
        """Delete all but a person's newest backups; what a plan may need stays."""
        asked = validated(PruneSerializer(data=request.data))
        pruned = prune_backups(self._person(asked.get("person")), asked.get("keep"))
        return Response(PrunedSerializer(asdict(pruned)).data)

    @extend_schema(request=None, responses=FoundSerializer)
    @action(detail=False, methods=["post"], permission_classes=[IsAuthenticated, OperatorOnly])
    def find(self, request: Request) -> Response:
        """Give archives of the store that have no record one, as after the loss of the database."""
        refuse_content(request)
        found = find_backups()
        return Response(
            FoundSerializer({"backups": found.backups, "unreadable": found.unreadable}).data
        )

    def _person(self, name: str | None) -> User:
        if name is None:
            return self.caller
        is_other = name != self.request.user.get_username()
        if is_other and not is_operator(self.request.user):
            raise NotFound("There is no such person whose backups you may manage.")
        return row_or_404(User.objects.all(), username=name)

    def _wish(self, backup: Backup, asked: dict[str, Any]) -> RestoreWish:
        into, name = asked.get("into", ""), asked.get("person")
        if into and name:
            raise ValidationError("Give a person who is here or a name to make one with, not both.")
        if into:
            return RestoreWish(into=into)
        person = self._person(name) if name else backup.user
        if person is None:
            raise ValidationError(
                "This backup belongs to nobody here: say into which new user name (into), or for which "
                "person (person)."
            )
        return RestoreWish(person=person, replace=asked["replace"])

    def _plan(self, plan: Plan) -> Response:
        shown = PlanDetailSerializer(plan, context=self.get_serializer_context())
        location = {"Location": plan_location(plan.pk)}
        return Response(shown.data, status=status.HTTP_202_ACCEPTED, headers=location)


class BackupRuleView(ApiView):
    """How often one is backed up and how many backups are kept."""

    @extend_schema(responses=BackupRuleSerializer)
    def get(self, request: Request) -> Response:
        """Read the rule that holds: one's own, or everybody's."""
        return Response(BackupRuleSerializer(rule_for(self.caller)).data)

    @extend_schema(request=BackupRulePutSerializer, responses=BackupRuleSerializer)
    def put(self, request: Request) -> Response:
        """Set one's own."""
        asked = validated(BackupRulePutSerializer(data=request.data))
        return Response(BackupRuleSerializer(set_rule(self.caller, **asked)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Clear one's own: everybody's holds then."""
        clear_rule(self.caller)
        return Response(status=status.HTTP_204_NO_CONTENT)


class OrganisationBackupRuleView(ApiView):
    """The rule of who has none of their own."""

    permission_classes = (IsAuthenticated, AdministratorDecides)

    @extend_schema(responses=BackupRuleSerializer)
    def get(self, request: Request) -> Response:
        """Read it."""
        return Response(BackupRuleSerializer(rule_for(None)).data)

    @extend_schema(request=BackupRulePutSerializer, responses=BackupRuleSerializer)
    def put(self, request: Request) -> Response:
        """Set it."""
        asked = validated(BackupRulePutSerializer(data=request.data))
        return Response(BackupRuleSerializer(set_rule(None, **asked)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Clear it: backups are made before migrations only, and none is pruned by itself."""
        clear_rule(None)
        return Response(status=status.HTTP_204_NO_CONTENT)
