"""OpenAPI: closed objects, and the errors, keys and preconditions that every route shares."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS

from migrations_app.api.idempotency import HEADER as IDEMPOTENCY_KEY
from migrations_app.api.problems import PROBLEM_TYPE, TITLES

API_PREFIX = "/api/v1"

OpenApiObject = dict[str, Any]
"""A part of the document, which drf-spectacular makes of plain values."""

BLANK: OpenApiObject = {"type": "string", "maxLength": 0}
"""How drf-spectacular says that a text may be empty, beside what else it may be."""

LOCATION = OpenApiParameter(
    "Location",
    OpenApiTypes.URI_REF,
    OpenApiParameter.HEADER,
    description="Where to read what was created or started.",
    response=["201", "202"],
)
ETAG = OpenApiParameter(
    "ETag",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The version to send back in If-Match.",
    response=["200"],
)
IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The ETag that you read: 428 without it, 412 when it is no longer current.",
)
KEY = OpenApiParameter(
    IDEMPOTENCY_KEY,
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="1 to 200 visible ASCII characters of your choice: repeated with the same body it "
    "answers as before and starts nothing twice; with another body it is refused (422).",
)


class ProblemSerializer(serializers.Serializer[Any]):
    """The body of every error (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable; made for programs.")
    detail = serializers.CharField(help_text="A sentence; made for people.")
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="By field, when the request's content is wrong.",
    )


class ApiSchema(AutoSchema):
    """Describe what the views share, so that no route can forget it."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> Any:
        return super().get_operation(path, path_regex, API_PREFIX, method, registry)

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix(API_PREFIX).strip("/").split("/")[0]]

    def get_override_parameters(self) -> list[Any]:
        declared = list(super().get_override_parameters())
        return [*declared, KEY] if self._is_idempotent() else declared

    def _get_response_bodies(self, direction: Any = "response") -> OpenApiObject:
        bodies: OpenApiObject = super()._get_response_bodies(direction)
        for status in self._problem_statuses():
            bodies[str(status)] = self._problem(str(status), direction)
        return bodies

    def _problem(self, status: str, direction: Any) -> OpenApiObject:
        body: OpenApiObject = self._get_response_for_code(  # type: ignore[no-untyped-call]
            ProblemSerializer, status, [PROBLEM_TYPE], direction
        )
        body["description"] = TITLES[int(status)]
        return body

    def _problem_statuses(self) -> list[int]:
        statuses = [400, 401, 403, 404, 429, 502, 503]
        if self.method not in SAFE_METHODS:
            statuses += [409, 413, 415]
        if self._is_idempotent():
            statuses.append(422)
        declared = [p for p in self.get_override_parameters() if isinstance(p, OpenApiParameter)]
        if any(p.name == IF_MATCH.name for p in declared):
            statuses += [412, 428]
        return sorted(statuses)

    def _is_idempotent(self) -> bool:
        handler = getattr(self.view, getattr(self.view, "action", None) or "post", None)
        return self.method == "POST" and getattr(handler, "is_idempotent", False)

    def _postprocess_serializer_schema(
        self, schema: OpenApiObject, serializer: Any, direction: Any
    ) -> OpenApiObject:
        """Close every object: what is not described is refused."""
        described: OpenApiObject = super()._postprocess_serializer_schema(  # type: ignore[no-untyped-call]
            schema, serializer, direction
        )
        if "properties" in described:
            described["additionalProperties"] = False
            for field in described["properties"].values():
                _allow_either(field)
        return described


def _allow_either(field: OpenApiObject) -> None:
    """Say of a text that may be empty that it fits its pattern or is empty, or both."""
    if BLANK in field.get("oneOf", ()):
        field["anyOf"] = field.pop("oneOf")


class LocalScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The command line of the machine itself, which no client over HTTP can be."""

    target_class = "migrations_app.api.local_authentication.LocalAuthentication"
    name: list[str] = []

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return []

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return []


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tell OpenAPI how a token is sent."""

    target_class = "migrations_app.api.base.BearerAuthentication"
    name = "token"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
