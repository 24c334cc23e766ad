"""What happens, as it happens: streams of server-sent events, and the same for who polls."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from typing import Any

from django.db import close_old_connections
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import json
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from engines.services.people.roles import is_operator
from migrations_app.api.base import ApiView
from migrations_app.api.schema import ETAG
from migrations_app.api.serializers.events import OpenPlansSerializer, PlanStateSerializer
from migrations_app.api.streams import EventStreamRenderer, describe_events
from migrations_app.limits.held import LISTENERS, Held, hold
from migrations_app.live.access import Credential, Permit, Scope
from migrations_app.live.cursor import Cursor, parse_cursor
from migrations_app.live.hub import live_hub
from migrations_app.live.states import plan_states
from migrations_app.plans.visibility import plans_of, plans_visible_to
from migrations_app.serving.streams.sse import MEDIA_TYPE, EventStream
from migrations_app.states import PLAN_OPEN

ALL = "all"
EVENT_STREAM = describe_events(
    "Events `change` (a status, with the id to resume after), `plan`, `progress`, `engine`, `adapters`, "
    "`unread`, `notice`, `mode` (whether it is live), `reset` and `end`."
)
LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The id of the last event that was read: what came since is told first.",
)
LAST_EVENT_ID_QUERY = OpenApiParameter(
    "last_event_id",
    OpenApiTypes.STR,
    description="The same, for clients that cannot send the header.",
)
SCOPE = OpenApiParameter(
    "scope",
    OpenApiTypes.STR,
    enum=["own", ALL],
    description="`all`, for operators: the plans of everybody.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The ETag that you have: 304 without a body while nothing changed.",
)
UNCHANGED = OpenApiResponse(description="Nothing changed.")


class LiveStream(EventStream):
    """One listener's stream; its place among those of its person is free again at its end."""

    def __init__(self, permit: Permit, cursor: Cursor | None, place: Held | None) -> None:
        super().__init__(_listen(permit, cursor))
        self._place = place

    def close(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.release()
        super().close()


async def _listen(permit: Permit, cursor: Cursor | None) -> AsyncGenerator[bytes]:
    async for part in live_hub().listen(permit, cursor):
        yield part


class StreamView(ApiView):
    """A route that answers with a stream."""

    renderer_classes = (JSONRenderer, EventStreamRenderer)
    query_parameters = frozenset({"last_event_id"})

    def answer(self, request: Request, scope: Scope) -> LiveStream:
        """Open the stream; TooManyAtOnceError when the person has as many as are allowed."""
        place = hold(self.caller.pk, LISTENERS)
        sent = request.headers.get("Last-Event-ID") or request.query_params.get("last_event_id")
        permit = Permit(_credential(request), scope)
        # The stream lasts long, and database connections are few.
        close_old_connections()
        return LiveStream(permit, parse_cursor(sent), place)


class EventsView(StreamView):
    """All that is a person's: their plans, downloads, engine, adapters and notices."""

    query_parameters = frozenset({"last_event_id", "scope"})

    @extend_schema(
        responses={(200, MEDIA_TYPE): EVENT_STREAM},
        parameters=[LAST_EVENT_ID, LAST_EVENT_ID_QUERY, SCOPE],
    )
    def get(self, request: Request) -> LiveStream:
        """Tell what happens to one's plans, engine and adapters, as it happens."""
        return self.answer(request, Scope(self.caller.pk, everything=_wants_all(request)))


class PlanEventsView(StreamView):
    """One plan."""

    @extend_schema(
        responses={(200, MEDIA_TYPE): EVENT_STREAM},
        parameters=[LAST_EVENT_ID, LAST_EVENT_ID_QUERY],
    )
    def get(self, request: Request, id: str) -> LiveStream:
        """Tell what happens to a plan, until it has ended."""
        if not plans_visible_to(self.caller).filter(pk=id).exists():
            raise NotFound
        return self.answer(request, Scope(self.caller.pk, plan=id))


class PlanProgressView(ApiView):
    """One plan, for who polls."""

    @extend_schema(
        responses={200: PlanStateSerializer, 304: UNCHANGED}, parameters=[IF_NONE_MATCH, ETAG]
    )
    def get(self, request: Request, id: str) -> HttpResponse:
        """Tell how far a plan is."""
        states = plan_states(plans_visible_to(request.user).filter(pk=id))
        if not states:
            raise NotFound
        return _tagged(request, json.encode(states[0]))


class ProgressView(ApiView):
    """All open plans of a person, for who polls."""

    query_parameters = frozenset({"scope"})

    @extend_schema(
        responses={200: OpenPlansSerializer, 304: UNCHANGED},
        parameters=[IF_NONE_MATCH, ETAG, SCOPE],
    )
    def get(self, request: Request) -> HttpResponse:
        """Tell how far one's open plans are."""
        everything = _wants_all(request)
        plans = plans_visible_to(self.caller) if everything else plans_of(self.caller)
        states = plan_states(plans.filter(status__in=PLAN_OPEN))
        return _tagged(request, json.encode({"plans": states}))


def _wants_all(request: Request) -> bool:
    if request.query_params.get("scope") != ALL:
        return False
    if not is_operator(request.user):
        raise PermissionDenied("Only an operator may hear of everybody's plans.")
    return True


def _credential(request: Request) -> Credential:
    user: Any = request.user
    if request.auth is not None:
        return Credential(user.pk, token_id=user.token_id)
    return Credential(user.pk, session_key=request._request.session.session_key)


def _tagged(request: Request, body: bytes) -> HttpResponse:
    """Return a body, or 304 for who has it already."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    known = [
        tag.strip().removeprefix("W/")
        for tag in request.headers.get("If-None-Match", "").split(",")
    ]
    if etag in known:
        return HttpResponse(status=304, headers={"ETag": etag})
    return HttpResponse(body, content_type="application/json", headers={"ETag": etag})
