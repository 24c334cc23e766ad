"""Talking: conversations, what was said in them, and asking. Without a script the answer comes whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from engines.exceptions import SamError
from engines.models import Conversation, Message
from engines.services.engine_choice import effective_engine
from engines.services.knowledge.access import readable_bases
from engines.services.people.conversations import (
    create_conversation,
    delete_conversation,
    find_conversations,
    rename_conversation,
)
from migrations_app.conversations import Exchange, Turn, regenerate, say
from migrations_app.pages.base import PageView
from migrations_app.pages.chat.forms import AskForm, RenameForm
from migrations_app.pages.chat.messages import Bubble, draw_messages

MAX_LISTED = 50
MAX_SHOWN = 60
"""Messages of a conversation; older ones are one address away."""
MAX_WORDS = 200


class ChatPage(PageView):
    """What the pages of talking share."""

    title: ClassVar[str] = "Chat"
    section: ClassVar[str] = "chat"
    template_name: ClassVar[str] = "pages/chat/chat.html"

    def conversation(self, pk: int) -> Conversation:
        """Return one of the person's own; 404 for any other."""
        found = Conversation.objects.filter(user=self.person, pk=pk).first()
        if found is None:
            raise Http404
        return found

    def show(
        self, conversation: Conversation | None, form: AskForm | None = None, *, status: int = 200
    ) -> HttpResponse:
        """Answer with a conversation, or with an empty one."""
        words = self.request.GET.get("q", "").strip()[:MAX_WORDS]
        older, shown = _page_of(conversation, self.request.GET.get("before", ""))
        bases = readable_bases(self.person).select_related("group").order_by("name")
        return self.render(
            {
                "title": conversation.title or "Chat" if conversation else "New conversation",
                "conversation": conversation,
                "bubbles": draw_messages(self.person, shown),
                "older": older,
                "conversations": _listed(find_conversations(self.person, words)),
                "words": words,
                "bases": bases,
                # Only an empty conversation asks.
                "engine": SimpleLazyObject(lambda: effective_engine(self.person)[0]),
                "form": form or AskForm(bases=bases, initial={"use_knowledge": bool(bases)}),
            },
            status=status,
        )


class ChatView(ChatPage):
    """A new conversation."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it, with the question that a link may bring."""
        return self.show(None)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Begin it with a question, and answer when the engine has answered."""
        return _ask(self, None)


class ConversationView(ChatPage):
    """One conversation."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what was said."""
        return self.show(self.conversation(pk))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say something, and answer when the engine has answered."""
        return _ask(self, self.conversation(pk))


class RegenerateView(ChatPage):
    """The last question, answered again."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Have it answered, whole."""
        conversation = self.conversation(pk)
        form = AskForm(request.POST, bases=readable_bases(self.person))
        form.fields["content"].required = False
        if not form.is_valid():
            return self.show(conversation, form, status=400)
        _finish(regenerate(self.person, conversation, form.wish()))
        return self.go("conversation", pk=conversation.pk)


class RenameView(ChatPage):
    """Another title."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Give it."""
        conversation = self.conversation(pk)
        form = RenameForm(request.POST)
        if form.is_valid():
            rename_conversation(conversation, form.cleaned_data["title"])
        return self.go("conversation", pk=conversation.pk)


class DeleteView(ChatPage):
    """The end of a conversation."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Delete it for good."""
        delete_conversation(self.conversation(pk))
        return self.go("chat")


class MessageView(ChatPage):
    """One message as the page draws it, for a stream that has ended."""

    def get(self, request: HttpRequest, pk: int, message_id: int) -> HttpResponse:
        """Return the part of the page."""
        conversation = self.conversation(pk)
        message = conversation.messages.filter(pk=message_id).select_related("engine").first()
        if message is None:
            raise Http404
        before = conversation.messages.filter(
            position__lt=message.position, role=Message.Role.ASSISTANT
        ).select_related("engine")
        # With the answer before, which tells whether another engine writes now.
        drawn = [*before.order_by("-position")[:1], message]
        bubble: Bubble = draw_messages(self.person, drawn)[-1]
        return self.render(
            {"bubble": bubble, "conversation": conversation}, template="pages/chat/message.html"
        )


def _ask(page: ChatPage, conversation: Conversation | None) -> HttpResponse:
    form = AskForm(page.request.POST, bases=readable_bases(page.person))
    if not form.is_valid():
        return page.show(conversation, form, status=400)
    begun = conversation or create_conversation(page.person)
    try:
        _finish(say(page.person, begun, form.cleaned_data["content"], form.wish()))
    except SamError as error:
        if conversation is None and not begun.messages.exists():
            delete_conversation(begun)
        form.refuse(error)
        kept = begun if begun.messages.exists() else conversation
        return page.show(kept, form, status=409)
    return page.go("conversation", pk=begun.pk)


def _finish(turn: Turn | Exchange) -> None:
    """Wait for the whole answer; it is kept by then."""
    if isinstance(turn, Exchange):
        return
    try:
        turn.whole()
    finally:
        turn.close()


def _page_of(conversation: Conversation | None, before: str) -> tuple[int | None, list[Message]]:
    """Return the latest messages (before a position), and before which older ones begin."""
    if conversation is None:
        return None, []
    rows: QuerySet[Message] = conversation.messages.select_related("engine")
    if before.isascii() and before.isdecimal():
        rows = rows.filter(position__lt=int(before[:9]))
    latest = list(rows.order_by("-position")[: MAX_SHOWN + 1])
    older = latest[MAX_SHOWN - 1].position if len(latest) > MAX_SHOWN else None
    return older, latest[:MAX_SHOWN][::-1]


def _listed(rows: QuerySet[Conversation]) -> Sequence[Mapping[str, Any]]:
    return list(
        rows.order_by("-updated_at", "-pk").values("pk", "title", "updated_at")[:MAX_LISTED]
    )
