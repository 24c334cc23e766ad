"""Conversations: what a person says and what the engine of the moment answers."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any

from django.contrib.auth.models import User
from django.db import close_old_connections
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from engines.exceptions import SamError
from engines.models import Conversation, Message
from engines.services.people.conversations import (
    create_conversation,
    delete_conversation,
    find_conversations,
    rename_conversation,
)
from migrations_app.api.base import ApiView, Rows, row_or_404, validated
from migrations_app.api.idempotency import HEADER, KEY_FORM
from migrations_app.api.schema import KEY, LOCATION
from migrations_app.api.serializers.conversations import (
    ConversationCreateSerializer,
    ConversationRenameSerializer,
    ConversationSerializer,
    ExchangeSerializer,
    MessageCreateSerializer,
    MessageSerializer,
    WishSerializer,
    show_messages,
)
from migrations_app.api.streams import EventStreamRenderer, describe_events, wants_stream
from migrations_app.api.throttles import WorkThrottle
from migrations_app.api.turn_events import (
    Shown,
    TurnWriter,
    write_done,
    write_failed,
    write_message,
)
from migrations_app.conversations import BROKEN, Exchange, Turn, regenerate, say
from migrations_app.serving.streams.sse import MEDIA_TYPE, EventStream
from migrations_app.serving.threads import in_thread

MAX_WORDS_CHARS = 200
SEARCH = OpenApiParameter(
    "q", OpenApiTypes.STR, description="Only those whose title or messages contain this."
)
NEWEST = OpenApiParameter(
    "order", OpenApiTypes.STR, enum=["oldest", "newest"], description="Which come first."
)
ANSWERS = {
    (201, "application/json"): ExchangeSerializer,
    (200, MEDIA_TYPE): describe_events(
        "Events `message`, `waiting`, `engine`, `left_out`, `citations`, `reasoning`, `delta`, `usage`, "
        "and at the end `done` or `error`."
    ),
}


class ConversationViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[Conversation]):
    """One's own conversations; they go on unchanged after a switch."""

    serializer_class = ConversationSerializer
    lookup_value_regex = "[0-9]{1,18}"
    page_ordering = ("-updated_at", "-id")
    query_parameters = frozenset({"q"})
    queryset = Conversation.objects.none()

    def get_queryset(self) -> QuerySet[Conversation]:
        words = self.request.query_params.get("q", "") if self.action == "list" else ""
        if len(words) > MAX_WORDS_CHARS:
            raise ValidationError({"q": [f"Search with at most {MAX_WORDS_CHARS} characters."]})
        return find_conversations(self.caller, words)

    @extend_schema(parameters=[SEARCH])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List them, the last used first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(
        request=ConversationCreateSerializer,
        responses={201: ConversationSerializer},
        parameters=[LOCATION],
    )
    def create(self, request: Request) -> Response:
        """Begin a conversation."""
        asked = validated(ConversationCreateSerializer(data=request.data))
        conversation = create_conversation(self.caller, title=asked["title"])
        address = reverse("api:conversation-detail", kwargs={"pk": conversation.pk})
        return Response(
            ConversationSerializer(conversation).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": address},
        )

    @extend_schema(request=ConversationRenameSerializer, responses=ConversationSerializer)
    def partial_update(self, request: Request, **lookup: Any) -> Response:
        """Rename a conversation."""
        conversation = self.get_object()
        asked = validated(ConversationRenameSerializer(data=request.data))
        rename_conversation(conversation, asked["title"])
        return Response(ConversationSerializer(conversation).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **lookup: Any) -> Response:
        """Delete a conversation with all its messages, for good."""
        delete_conversation(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class MessageViews(mixins.ListModelMixin, Rows[Message]):
    """The messages of one conversation, in order."""

    serializer_class = MessageSerializer
    throttle_classes = (*ApiView.throttle_classes, WorkThrottle)
    queryset = Message.objects.none()
    query_parameters = frozenset({"order"})

    @property
    def page_ordering(self) -> tuple[str, ...]:  # type: ignore[override]
        is_newest = self.request.query_params.get("order") == "newest"
        return ("-position",) if is_newest else ("position",)

    def get_renderers(self) -> list[BaseRenderer]:
        # A list is no stream, whatever its reader would like.
        extra = [EventStreamRenderer()] if self.request.method == "POST" else []
        return [*super().get_renderers(), *extra]

    def get_queryset(self) -> QuerySet[Message]:
        if getattr(self, "swagger_fake_view", False):
            return Message.objects.none()
        return Message.objects.filter(conversation=self._conversation()).select_related("engine")

    @extend_schema(parameters=[NEWEST])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List them with their citations as they can be shown now."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(show_messages(self.caller, page))

    @extend_schema(request=MessageCreateSerializer, responses=ANSWERS, parameters=[KEY])
    def create(self, request: Request, **lookup: Any) -> HttpResponseBase:
        """Say something and have it answered, whole or event by event; both are kept.

        Sent again with its `Idempotency-Key` it is not said twice. Closing the connection of a stream
        stops the answer; what was written so far is kept.
        """
        conversation = self._conversation()
        serializer = MessageCreateSerializer(data=request.data)
        asked = validated(serializer)
        turn = say(
            self.caller,
            conversation,
            asked["content"],
            serializer.wish(),
            client_key=_client_key(request),
        )
        return self._answer(turn, is_stream=asked["stream"] or wants_stream(request))

    @extend_schema(request=WishSerializer, responses=ANSWERS)
    @action(detail=False, methods=["post"])
    def regenerate(self, request: Request, **lookup: Any) -> HttpResponseBase:
        """Answer the last question again; the new answer takes the place of the earlier one."""
        conversation = self._conversation()
        serializer = WishSerializer(data=request.data)
        asked = validated(serializer)
        turn = regenerate(self.caller, conversation, serializer.wish())
        return self._answer(turn, is_stream=asked["stream"] or wants_stream(request))

    def _answer(self, turn: Turn | Exchange, *, is_stream: bool) -> HttpResponseBase:
        if isinstance(turn, Exchange):
            return _stream_of(turn, self.caller) if is_stream else _whole(turn, self.caller)
        if is_stream:
            return TurnStream(turn, self.caller)
        try:
            return _whole(Exchange(turn.question, turn.whole()), self.caller)
        finally:
            turn.close()

    def _conversation(self) -> Conversation:
        mine = Conversation.objects.filter(user=self.caller)
        return row_or_404(mine, pk=self.kwargs["conversation_pk"])


class TurnStream(EventStream):
    """A turn event by event; its end, also by a client that leaves, stops the engine."""

    def __init__(self, turn: Turn, user: User) -> None:
        (question,) = show_messages(user, [turn.question])
        # The answer may be long, and database connections are few.
        close_old_connections()
        super().__init__(_written(turn, user, question))
        self._turn = turn

    def close(self) -> None:
        # Django calls it in any case, in a thread; the generator may end only when it is collected.
        try:
            self._turn.close()
        finally:
            close_old_connections()
        super().close()


async def _written(turn: Turn, user: User, question: Shown) -> AsyncGenerator[bytes]:
    yield write_message(question)
    writer = TurnWriter(turn, time.monotonic)
    try:
        async for event in turn.events():
            for part in writer.write(event):
                yield part
        yield write_done(await in_thread(lambda: show_messages(user, [turn.keep()])[0]))
    except SamError as error:
        yield write_failed(error, await in_thread(lambda: _show_part(turn, user)))


def _show_part(turn: Turn, user: User) -> Shown | None:
    part = turn.keep_part(BROKEN)
    return show_messages(user, [part])[0] if part is not None else None


def _stream_of(exchange: Exchange, user: User) -> EventStream:
    """Return an exchange that was answered before, as the stream it would be."""
    question, answer = show_messages(user, [exchange.message, exchange.answer])

    async def parts() -> AsyncGenerator[bytes]:
        yield write_message(question)
        yield write_done(answer)

    return EventStream(parts())


def _whole(exchange: Exchange, user: User) -> Response:
    message, answer = show_messages(user, [exchange.message, exchange.answer])
    body = {
        "message": message,
        "answer": answer,
        "fallback_for": answer["fallback_for"],
        "left_out": answer["left_out"],
    }
    return Response(body, status=status.HTTP_201_CREATED)


def _client_key(request: Request) -> str:
    key = request.headers.get(HEADER, "")
    if key and KEY_FORM.fullmatch(key) is None:
        raise ValidationError({HEADER: ["Send 1 to 200 visible ASCII characters."]})
    return key
