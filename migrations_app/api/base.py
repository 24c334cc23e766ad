"""What every route shares: who asks, how much they may send, and how it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from rest_framework.authentication import (
    BaseAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.exceptions import (
    AuthenticationFailed,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    ValidationError,
)
from rest_framework.parsers import BaseParser
from rest_framework.permissions import SAFE_METHODS, AllowAny, IsAuthenticated
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer, SlugRelatedField
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from engines.models import TokenScope
from engines.services.people.tokens import KEY_IS_DEAD, find_owner
from migrations_app.api.local_authentication import LocalAuthentication
from migrations_app.api.pagination import CursorPages
from migrations_app.api.parsers import StrictJSONParser, refuse_large_body, refuse_unstorable
from migrations_app.api.problems import PreconditionFailed, PreconditionMissing, problem_handler
from migrations_app.api.schema import ApiSchema
from migrations_app.api.throttles import RateThrottle
from migrations_app.limits.rates import limit_address

Row = TypeVar("Row", bound=Model)

PAGE_PARAMETERS = frozenset({"cursor", "page_size"})


class BearerAuthentication(TokenAuthentication):
    """``Authorization: Bearer <token>``, as OpenAI clients send it; ``request.auth`` is its scope."""

    keyword = "Bearer"

    def authenticate_credentials(self, key: str) -> tuple[User, TokenScope]:
        owner: Any = find_owner(key)
        if owner is None:
            raise AuthenticationFailed(f"{KEY_IS_DEAD}.")
        return owner, TokenScope(owner.token_scope)


class ApiView(APIView):
    """A view whose errors are problems and whose bodies are bounded; self-contained on purpose."""

    authentication_classes: Sequence[type[BaseAuthentication]] = (
        BearerAuthentication,
        LocalAuthentication,
        SessionAuthentication,
    )
    permission_classes: Sequence[Any] = (IsAuthenticated,)
    renderer_classes: Sequence[type[BaseRenderer]] = (JSONRenderer,)
    parser_classes: Sequence[type[BaseParser]] = (StrictJSONParser,)
    throttle_classes: tuple[type[BaseThrottle], ...] = (RateThrottle,)
    schema = ApiSchema()
    max_upload_bytes = 0
    query_parameters: frozenset[str] = frozenset()

    def get_exception_handler(self) -> Any:
        return problem_handler

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        refuse_large_body(request, self.max_upload_bytes)
        try:
            super().initial(request, *args, **kwargs)
        except (NotAuthenticated, AuthenticationFailed):
            # The framework asks for a token first and counts after that.
            limit_address(request._request)
            raise
        if getattr(self, (request.method or "").lower(), None) is None:
            # Before what it asks for is looked at: no other parameters would help.
            self.http_method_not_allowed(request)
        refuse_unstorable(dict(request.query_params.lists()))
        unknown = sorted(set(request.query_params) - self.query_parameters - PAGE_PARAMETERS)
        if unknown:
            raise ValidationError({name: ["This parameter is not known here."] for name in unknown})

    def check_permissions(self, request: Request) -> None:
        """Refuse what the token's scope leaves out, whatever its person may do."""
        is_too_much = request.auth == TokenScope.READ and request.method not in SAFE_METHODS
        if is_too_much or request.auth == TokenScope.ANSWERS:
            raise PermissionDenied("This token's scope does not reach here; use another token.")
        super().check_permissions(request)

    @property
    def caller(self) -> User:
        """Return who asks; only for routes behind ``IsAuthenticated``.

        ValidationError for the system itself, which has nothing of its own.
        """
        actor = self.actor
        if actor is None:
            raise ValidationError("This is about one person: say who with --user.")
        return actor

    @property
    def actor(self) -> User | None:
        """Return who is to be named for what happens; None: the system, by this machine's command line."""
        user = cast("User", self.request.user)
        return None if user._state.adding else user

    @property
    def actor_name(self) -> str:
        """Return under which name it is kept who did something."""
        return cast("User", self.request.user).username


class Rows(ApiView, GenericViewSet[Row]):
    """Rows the caller may know of: one ``get_queryset`` filters the list and every detail alike.

    So a foreign row is absent from the list and 404 everywhere else, actions included.
    """

    pagination_class = CursorPages
    page_ordering: tuple[str, ...] = ("-id",)


class ClosedSerializer(Serializer[Any]):
    """A body may hold only the fields that can be written."""

    def to_internal_value(self, data: Any) -> Any:
        refuse_unknown_fields(self, data)
        return super().to_internal_value(data)


class NamedField(SlugRelatedField[Row]):
    """A row by its name; what cannot be one, such as a NUL, is answered as a name nobody has."""

    def to_internal_value(self, data: Any) -> Row:
        if not isinstance(data, str) or not data.isprintable():
            self.fail("invalid")
        return super().to_internal_value(data)


def refuse_unknown_fields(serializer: Serializer[Any], data: Any) -> None:
    """Raise ValidationError naming each field that does not exist or is read-only."""
    if not isinstance(data, Mapping):
        return
    writable = {name for name, field in serializer.fields.items() if not field.read_only}
    unknown = sorted(set(map(str, data)) - writable)
    if unknown:
        known = ", ".join(sorted(writable)) or "none"
        told = f"This field cannot be written; those that can: {known}."
        raise ValidationError({name: [told] for name in unknown})


def validated(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    """Return the checked content of a request or raise its errors."""
    serializer.is_valid(raise_exception=True)
    return cast("dict[str, Any]", serializer.validated_data)


def refuse_content(request: Request) -> None:
    """Raise ValidationError when a command that takes no content was sent some."""
    if request.data:
        raise ValidationError("This request takes no content.")


def row_or_404(queryset: QuerySet[Row], **lookup: Any) -> Row:
    """Return the one row the caller may see, or 404 without telling whether it exists."""
    row = queryset.filter(**lookup).first()
    if row is None:
        raise NotFound
    return row


def check_if_match(request: Request, etag: str) -> None:
    """Raise 428 without If-Match and 412 when none of its tags is the current one."""
    sent = request.headers.get("If-Match")
    if sent is None:
        raise PreconditionMissing
    tags = [tag.strip() for tag in sent.split(",")]
    if "*" not in tags and etag not in tags:
        raise PreconditionFailed


OWN_ADDRESSES = "/api/v1/"
"""Below it an error has the fields that SAM's own description names, and no more."""


class UnknownRoute(ApiView):
    """Answer an unknown address with a problem, as everything else."""

    permission_classes = (AllowAny,)
    schema = None  # type: ignore[assignment]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound("There is nothing at this address; /api/docs/ lists what there is.")

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if not self.request.path.startswith(OWN_ADDRESSES):
            # Ollama's clients, whose addresses begin as these do, read this.
            response.data["error"] = response.data["detail"]
        return response

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        raise NotFound

    post = put = patch = delete = get
