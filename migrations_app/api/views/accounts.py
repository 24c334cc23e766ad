"""Who comes and who leaves: people and invitations for administrators, one's own sessions for everybody."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from engines.exceptions import ConflictError
from engines.models import Invitation
from engines.services.people.invitations import invite_person, revoke_invitation
from engines.services.people.roles import ROLES
from engines.services.people.sessions import end_session, end_sessions, list_sessions
from migrations_app.accounts.mails import invitation_link, send_invitation
from migrations_app.accounts.second_factor import remove_factors
from migrations_app.api.base import ApiView, Rows, refuse_content, validated
from migrations_app.api.permissions import AdministratorOnly
from migrations_app.api.serializers.accounts import (
    InviteePersonSerializer,
    NewPersonInvitationSerializer,
    PersonInvitationSerializer,
    PersonSerializer,
    RemovedFactorsSerializer,
    SessionSerializer,
    UnlockedSerializer,
)
from migrations_app.limits.sign_in import unlock
from migrations_app.people import (
    deactivate_person,
    delete_person,
    grant_role,
    reactivate_person,
    revoke_role,
)

ADMINISTRATORS = (IsAuthenticated, AdministratorOnly)
ROLE_NAME = "[a-z]{1,50}"
ROLE = OpenApiParameter(
    "role", OpenApiTypes.STR, OpenApiParameter.PATH, enum=sorted(ROLES), description="A role."
)


class PersonViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[User]):
    """Everybody; nothing of what they wrote."""

    serializer_class = PersonSerializer
    permission_classes = ADMINISTRATORS
    lookup_field = "username"
    lookup_value_regex = r"[\w.@+-]{1,150}"
    page_ordering = ("username",)
    queryset = User.objects.none()

    def get_queryset(self) -> QuerySet[User]:
        return User.objects.prefetch_related("groups")

    @extend_schema(request=None, responses=PersonSerializer)
    @action(detail=True, methods=["post"])
    def deactivate(self, request: Request, **lookup: Any) -> Response:
        """Let a person in no more: tokens and sessions end, plans that have not switched are cancelled."""
        refuse_content(request)
        user = self._somebody_else()
        deactivate_person(user, who=self.actor_name)
        return Response(PersonSerializer(user).data)

    @extend_schema(request=None, responses=PersonSerializer)
    @action(detail=True, methods=["post"])
    def reactivate(self, request: Request, **lookup: Any) -> Response:
        """Let a person in again; what ended stays ended."""
        refuse_content(request)
        user = self.get_object()
        reactivate_person(user)
        return Response(PersonSerializer(user).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **lookup: Any) -> Response:
        """Delete a person with all that is theirs, for good; 409 while a plan of theirs runs."""
        delete_person(self._somebody_else())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=PersonSerializer, parameters=[ROLE])
    @action(detail=True, methods=["put"], url_path=f"roles/(?P<role>{ROLE_NAME})", url_name="role")
    def grant(self, request: Request, role: str, **lookup: Any) -> Response:
        """Give a person a role; who has it keeps it."""
        refuse_content(request)
        user = self.get_object()
        grant_role(user, role)
        return Response(PersonSerializer(user).data)

    @extend_schema(responses={200: PersonSerializer}, parameters=[ROLE])
    @grant.mapping.delete
    def revoke(self, request: Request, role: str, **lookup: Any) -> Response:
        """Take a role from a person; 409 for the last administrator's."""
        user = self.get_object()
        revoke_role(user, role)
        return Response(PersonSerializer(user).data)

    @extend_schema(request=None, responses=UnlockedSerializer)
    @action(detail=True, methods=["post"])
    def unlock(self, request: Request, **lookup: Any) -> Response:
        """Let a person sign in again at once after failed sign-ins."""
        refuse_content(request)
        return Response({"had_failures": unlock(self.get_object().username)})

    @extend_schema(request=None, responses=RemovedFactorsSerializer)
    @action(detail=True, methods=["post"], url_path="remove-second-factor")
    def remove_second_factor(self, request: Request, **lookup: Any) -> Response:
        """Take the second factor away, for who lost the telephone and the recovery codes."""
        refuse_content(request)
        return Response({"removed": remove_factors(self.get_object())})

    def _somebody_else(self) -> User:
        user = self.get_object()
        if user == self.request.user:
            raise ConflictError("This is you; have another administrator do it.")
        return user


class InvitationViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[Invitation]):
    """Who was invited, when, and what became of it."""

    serializer_class = PersonInvitationSerializer
    permission_classes = ADMINISTRATORS
    lookup_value_regex = "[0-9]{1,18}"
    queryset = Invitation.objects.none()

    def get_queryset(self) -> QuerySet[Invitation]:
        return Invitation.objects.prefetch_related("groups")

    @extend_schema(request=InviteePersonSerializer, responses={201: NewPersonInvitationSerializer})
    def create(self, request: Request) -> Response:
        """Invite somebody by e-mail; an earlier open invitation of the address ends."""
        asked = validated(InviteePersonSerializer(data=request.data))
        made = invite_person(
            asked["email"], groups=asked["groups"], who=self.actor_name, days=asked["days"]
        )
        told = {"link": invitation_link(made), "mailed": send_invitation(made)}
        shown = PersonInvitationSerializer(made.invitation).data
        return Response({**told, **shown}, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """End an open invitation; its link opens nothing any more."""
        revoke_invitation(int(pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class SessionsView(ApiView):
    """One's own browsers that are signed in."""

    @extend_schema(responses=SessionSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response(SessionSerializer(list_sessions(self.caller), many=True).data)

    @extend_schema(operation_id="sessions_end_others", responses={204: None})
    def delete(self, request: Request) -> Response:
        """End all of them but the one that asks."""
        end_sessions(self.caller, keep=request._request.session.session_key or "")
        return Response(status=status.HTTP_204_NO_CONTENT)


class SessionView(ApiView):
    """One of them."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: str) -> Response:
        end_session(self.caller, int(pk))
        return Response(status=status.HTTP_204_NO_CONTENT)
