"""Conversations: what a person says and what the engine of the moment answers."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response

from engines.models import Conversation, Message
from engines.services.people.conversations import (
    create_conversation,
    delete_conversation,
    rename_conversation,
)
from migrations_app.api.base import ApiView, Rows, WorkThrottle, row_or_404, validated
from migrations_app.api.schema import LOCATION
from migrations_app.api.serializers.knowledge import (
    ConversationCreateSerializer,
    ConversationRenameSerializer,
    ConversationSerializer,
    ExchangeSerializer,
    MessageCreateSerializer,
    MessageSerializer,
)
from migrations_app.serving.answers import answer_in


class ConversationViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, Rows[Conversation]):
    """One's own conversations; they go on unchanged after a switch."""

    serializer_class = ConversationSerializer
    lookup_value_regex = "[0-9]{1,18}"
    queryset = Conversation.objects.none()

    def get_queryset(self) -> QuerySet[Conversation]:
        return Conversation.objects.filter(user=self.caller)

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
    page_ordering = ("position",)
    queryset = Message.objects.none()

    def get_queryset(self) -> QuerySet[Message]:
        if getattr(self, "swagger_fake_view", False):
            return Message.objects.none()
        return Message.objects.filter(conversation=self._conversation()).select_related("engine")

    @extend_schema(request=MessageCreateSerializer, responses={201: ExchangeSerializer})
    def create(self, request: Request, **lookup: Any) -> Response:
        """Say something and wait for the engine's answer; both are kept."""
        conversation = self._conversation()
        asked = validated(MessageCreateSerializer(data=request.data))
        exchange = answer_in(
            conversation,
            asked["content"],
            max_tokens=asked["max_tokens"],
            temperature=asked["temperature"],
        )
        return Response(ExchangeSerializer(exchange).data, status=status.HTTP_201_CREATED)

    def _conversation(self) -> Conversation:
        mine = Conversation.objects.filter(user=self.caller)
        return row_or_404(mine, pk=self.kwargs["conversation_pk"])
