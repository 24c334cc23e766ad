"""Conversations: appended to by people and engines, never rewritten by a switch."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from engines.exceptions import InvalidRequestError, NotFoundError
from engines.models import CatalogModel, Conversation, Message

MAX_CHARS = 100_000
GONE = "The conversation was deleted; begin another."


def create_conversation(user: User, *, title: str = "") -> Conversation:
    """Begin a conversation of this person."""
    return Conversation.objects.create(user=user, title=title)


def rename_conversation(conversation: Conversation, title: str) -> None:
    """Give a conversation another title; NotFoundError when it is gone."""
    if not Conversation.objects.filter(pk=conversation.pk).update(title=title):
        raise NotFoundError(GONE)
    conversation.title = title


def delete_conversation(conversation: Conversation) -> None:
    """Delete a conversation with its messages, for good; one that is gone already is no error.

    Who is just appending to it comes before or finds it gone.
    """
    with transaction.atomic():
        Conversation.objects.select_for_update().filter(pk=conversation.pk).first()
        Conversation.objects.filter(pk=conversation.pk).delete()


def add_message(
    conversation: Conversation, *, role: str, content: str, engine: CatalogModel | None = None
) -> Message:
    """Append one message under the conversation's lock; empty or huge text is refused.

    NotFoundError when the conversation was deleted meanwhile.
    """
    if not content.strip() and role == Message.Role.USER:
        raise InvalidRequestError("A message needs some text.")
    if len(content) > MAX_CHARS:
        raise InvalidRequestError(f"A message has at most {MAX_CHARS:,} characters.")
    with transaction.atomic():
        held = Conversation.objects.select_for_update(no_key=True).filter(pk=conversation.pk)
        if held.first() is None:
            raise NotFoundError(GONE)
        last = conversation.messages.aggregate(last=Max("position"))["last"]
        return Message.objects.create(
            conversation=conversation,
            position=0 if last is None else last + 1,
            role=role,
            content=content.replace("\x00", ""),
            engine=engine,
        )
