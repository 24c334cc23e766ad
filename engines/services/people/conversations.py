"""Conversations: appended to by people and engines, never rewritten by a switch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Length

from engines.db.clock import ClockTimestamp
from engines.exceptions import ConflictError, InvalidRequestError, NotFoundError
from engines.models import CatalogModel, Conversation, Message

MAX_CHARS = 100_000
TITLE_CHARS = 60
"""Of the first message, which names a conversation that has no title."""
GONE = "The conversation was deleted; begin another."


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What is kept of an answer besides its text."""

    engine: CatalogModel | None = None
    status: str = Message.Status.COMPLETE
    fallback_for: dict[str, Any] | None = None
    citations: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def create_conversation(user: User, *, title: str = "") -> Conversation:
    """Begin a conversation of this person."""
    return Conversation.objects.create(user=user, title=title)


def find_conversations(user: User, words: str = "") -> QuerySet[Conversation]:
    """Return a person's conversations whose title or messages contain the words, as they stand."""
    mine = Conversation.objects.filter(user=user)
    if not words:
        return mine
    said = Message.objects.filter(conversation=OuterRef("pk"), content__icontains=words)
    return mine.filter(Q(title__icontains=words) | Exists(said))


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


def count_characters(conversation: Conversation) -> int:
    """Return how many characters a conversation has."""
    return conversation.messages.aggregate(sum=Sum(Length("content")))["sum"] or 0


def add_message(
    conversation: Conversation,
    *,
    role: str,
    content: str,
    engine: CatalogModel | None = None,
    client_key: str = "",
) -> Message:
    """Append one message under the conversation's lock; empty or huge text is refused.

    A person's message with a ``client_key`` that was said already is returned as it is kept;
    ConflictError when it was another one. NotFoundError when the conversation was deleted meanwhile.
    """
    _check_content(role, content)
    with transaction.atomic():
        _lock(conversation)
        known = find_said(conversation, client_key, content)
        if known is not None:
            return known
        record = AnswerRecord(engine=engine)
        message = _append(conversation, role, content, record, client_key=client_key)
        if role == Message.Role.USER and not conversation.title:
            conversation.title = _title_of(content)
            Conversation.objects.filter(pk=conversation.pk, title="").update(
                title=conversation.title
            )
        return message


def find_said(conversation: Conversation, client_key: str, content: str) -> Message | None:
    """Return what a person said under a key; ConflictError when that was something else."""
    known = conversation.messages.filter(client_key=client_key).first() if client_key else None
    if known is not None and known.content != content.replace("\x00", ""):
        raise ConflictError("This key belongs to another message; choose a new one.")
    return known


def answer_to(message: Message) -> Message | None:
    """Return the answer that follows what a person said; None while there is none."""
    following = Message.objects.filter(
        conversation=message.conversation_id, position=message.position + 1
    )
    return following.filter(role=Message.Role.ASSISTANT).select_related("engine").first()


def last_question(conversation: Conversation) -> Message:
    """Return what the person said last; InvalidRequestError when that is nothing."""
    said = conversation.messages.filter(role=Message.Role.USER).order_by("-position").first()
    if said is None:
        raise InvalidRequestError("Nothing was said here yet; write a message first.")
    return said


def last_engine(conversation: Conversation, before: Message) -> str | None:
    """Return the name of the engine that wrote the last answer before a message."""
    answers = conversation.messages.filter(
        role=Message.Role.ASSISTANT, position__lt=before.position, engine__isnull=False
    )
    names = answers.order_by("-position").values_list("engine__model_id", flat=True)
    return names.first()


def keep_answer(question: Message, content: str, record: AnswerRecord) -> Message:
    """Keep an answer in its place after what it answers; an earlier one there is replaced.

    Raises NotFoundError when the conversation was deleted meanwhile, ConflictError when more was said.
    """
    conversation = question.conversation
    with transaction.atomic():
        _lock(conversation)
        later = conversation.messages.filter(position__gt=question.position)
        if later.filter(role=Message.Role.USER).exists():
            raise ConflictError("More was said meanwhile; the answer has no place any more.")
        later.delete()
        return _append(conversation, Message.Role.ASSISTANT, content[:MAX_CHARS], record)


def _check_content(role: str, content: str) -> None:
    if not content.strip() and role == Message.Role.USER:
        raise InvalidRequestError("A message needs some text.")
    if len(content) > MAX_CHARS:
        raise InvalidRequestError(f"A message has at most {MAX_CHARS:,} characters.")


def _lock(conversation: Conversation) -> None:
    held = Conversation.objects.select_for_update(no_key=True).filter(pk=conversation.pk)
    if held.first() is None:
        raise NotFoundError(GONE)


def _append(
    conversation: Conversation,
    role: str,
    content: str,
    record: AnswerRecord,
    *,
    client_key: str = "",
) -> Message:
    last = conversation.messages.aggregate(last=Max("position"))["last"]
    Conversation.objects.filter(pk=conversation.pk).update(updated_at=ClockTimestamp())
    return Message.objects.create(
        conversation=conversation,
        position=0 if last is None else last + 1,
        role=role,
        content=content.replace("\x00", ""),
        client_key=client_key,
        engine=record.engine,
        status=record.status,
        fallback_for=record.fallback_for,
        citations=record.citations,
        left_out=record.left_out,
        finish_reason=record.finish_reason,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
    )


def _title_of(content: str) -> str:
    """Return the first words of a text."""
    line = " ".join(content.split())
    if len(line) <= TITLE_CHARS:
        return line
    head = line[:TITLE_CHARS]
    return f"{head.rpartition(' ')[0] or head}…"
