"""One's own tokens: got with a password, listed without their keys, ended by their owner."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from engines.models import ApiToken, TokenScope
from engines.services.people.tokens import create_token
from migrations_app.accounts.second_factor import require_second_factor
from migrations_app.api.base import Rows, validated
from migrations_app.api.local_authentication import LocalAuthentication
from migrations_app.api.problems import WrongCredentials
from migrations_app.api.schema import LOCATION
from migrations_app.api.serializers.people import (
    NamedTokenSerializer,
    NewTokenSerializer,
    TokenRequestSerializer,
    TokenSerializer,
)
from migrations_app.limits.sign_in import refuse_locked

SIGN_IN = "POST"


class TokenViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[ApiToken]):
    """One's own tokens for programs."""

    serializer_class = TokenSerializer
    lookup_value_regex = "[0-9]{1,18}"
    queryset = ApiToken.objects.none()

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Look at no token where a password is sent: it may be an old one that shall be replaced."""
        is_sign_in = getattr(self.request, "method", "") == SIGN_IN and not self.detail
        return [LocalAuthentication()] if is_sign_in else super().get_authenticators()

    def get_permissions(self) -> list[BasePermission]:
        return [AllowAny() if self.action == "create" else IsAuthenticated()]

    def get_queryset(self) -> QuerySet[ApiToken]:
        return ApiToken.objects.filter(user=self.caller)

    @extend_schema(
        request=TokenRequestSerializer,
        responses={201: NewTokenSerializer},
        parameters=[LOCATION],
        auth=[],
    )
    def create(self, request: Request) -> Response:
        """Exchange user name or e-mail address and password for a new token, told this once.

        Who has a second factor sends its code too.
        """
        if request.user.is_authenticated:
            asked, user = validated(NamedTokenSerializer(data=request.data)), self.caller
        else:
            asked = validated(TokenRequestSerializer(data=request.data))
            user = _signed_in(request, asked)
        days = asked.get("expires_in_days", settings.SAM_TOKEN_DAYS)
        made = create_token(user, asked["name"], scope=TokenScope(asked["scope"]), days=days)
        answer = {"token": made.key, **TokenSerializer(made.token).data}
        return Response(
            answer,
            status=status.HTTP_201_CREATED,
            headers={"Location": reverse("api:token-detail", kwargs={"pk": made.token.pk})},
        )

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **lookup: Any) -> Response:
        """End a token at once, also the one that is used for it."""
        self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


def _signed_in(request: Request, asked: dict[str, Any]) -> User:
    refuse_locked(request._request, asked["username"])
    user = authenticate(request._request, username=asked["username"], password=asked["password"])
    if not isinstance(user, User):
        raise WrongCredentials
    require_second_factor(request._request, user, asked.get("code", ""))
    return user
