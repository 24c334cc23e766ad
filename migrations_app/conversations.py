"""The front door to talking: a person says something, an engine answers, and both are kept.

An answer is written event by event, or whole; either way it is kept once, with its engine, the keys of the
passages it was given and what it cost. Who leaves in the middle keeps what was written so far, marked as
stopped. One conversation has one answer at a time.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import NamedTuple

from django.contrib.auth.models import User
from msgspec import Struct, structs

from engines.exceptions import ConflictError, NotFoundError
from engines.models import CatalogModel, Conversation, Message
from engines.runtimes.base import ChatMessage
from engines.services.answers.messages import (
    MAX_MESSAGES,
    AnswerRequest,
    BeginEvent,
    Citation,
    Event,
    FallbackCause,
    TextEvent,
    WholeAnswer,
)
from engines.services.knowledge.access import readable_bases
from engines.services.knowledge.passages import CitationRecord
from engines.services.knowledge.search_filters import SearchFilter
from engines.services.people.conversations import (
    AnswerRecord,
    add_message,
    answer_to,
    count_characters,
    find_said,
    keep_answer,
    last_engine,
    last_question,
)
from migrations_app.limits.admission import PASSAGE_CHARACTERS, Admission
from migrations_app.limits.held import Held, hold_alone
from migrations_app.serving.answers import generate_answer
from migrations_app.serving.departure import Departure
from migrations_app.serving.streams.client import stream_answer
from migrations_app.serving.streams.gathered import AnswerFacts, GatheredAnswer

BEING_ANSWERED = "This conversation is being answered; wait for the end, or stop that answer first."
STOPPED, BROKEN = Message.Status.STOPPED, Message.Status.BROKEN


class Wish(Struct, frozen=True, kw_only=True):
    """How somebody wants to be answered."""

    max_tokens: int
    temperature: float
    knowledge: int | None = None
    """How many passages of their knowledge to answer from; None asks for none."""
    knowledge_filter: SearchFilter | None = None


class Exchange(NamedTuple):
    """What was said and answered."""

    message: Message
    answer: Message


def say(
    user: User, conversation: Conversation, content: str, wish: Wish, *, client_key: str = ""
) -> Turn | Exchange:
    """Keep what a person says and return the turn in which it is answered; close it in any case.

    What was said under the same ``client_key`` before is not said again: it is answered if it has no
    answer yet, and returned with the one it has. Raises ConflictError while another answer is under
    way or for a key of another message, InvalidRequestError, NotFoundError, QuotaExceededError or
    TooManyAtOnceError; then nothing is kept.
    """
    with _Preparation(conversation) as prepared:
        known = find_said(conversation, client_key, content)
        if known is not None:
            answer = answer_to(known)
            if answer is not None:
                return Exchange(known, answer)
            _require_last(known)
        prepared.admit(user, wish, len(content))
        message = add_message(
            conversation, role=Message.Role.USER, content=content, client_key=client_key
        )
        return prepared.turn(user, message, wish)


def regenerate(user: User, conversation: Conversation, wish: Wish) -> Turn:
    """Return a turn that answers the last question again; its answer takes the earlier one's place.

    As ``say``; the earlier answer stays until there is another one.
    """
    with _Preparation(conversation) as prepared:
        question = last_question(conversation)
        prepared.admit(user, wish, 0)
        return prepared.turn(user, question, wish)


class _Preparation:
    """Holds the conversation and what an answer needs; given back unless a turn takes it over."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._place: Held | None = None
        self._admission: Admission | None = None

    def __enter__(self) -> _Preparation:
        name = f"conversation:{self._conversation.pk}"
        self._place = hold_alone(name, ConflictError(BEING_ANSWERED))
        return self

    def __exit__(self, *_: object) -> None:
        if self._admission is not None:
            self._admission.release()
        if self._place is not None:
            self._place.release()

    def admit(self, user: User, wish: Wish, more_characters: int) -> None:
        """Set aside what the answer may use; raises what ``Admission`` raises."""
        if wish.knowledge_filter is not None:
            wish.knowledge_filter.require_readable(readable_bases(user))
        read = count_characters(self._conversation) + more_characters
        read += PASSAGE_CHARACTERS * (wish.knowledge or 0)
        self._admission = Admission(user, read, wish.max_tokens)

    def turn(self, user: User, question: Message, wish: Wish) -> Turn:
        """Return the turn, which from now on holds all of it."""
        if self._admission is None:
            raise RuntimeError("a turn is admitted before it begins")
        request = AnswerRequest(
            user_id=user.pk, messages=_history(question), **structs.asdict(wish)
        )
        turn = Turn(question, request, self._admission, self._place)
        self._admission = self._place = None
        return turn


class Turn:
    """One answer under way: what it holds, and what of it is kept."""

    def __init__(
        self, question: Message, request: AnswerRequest, admission: Admission, place: Held | None
    ) -> None:
        self.question = question
        self.facts = AnswerFacts()
        self.said = GatheredAnswer()
        self.answer: Message | None = None
        self.engine_before = last_engine(question.conversation, question)
        """The engine that wrote the answer before, if there is one."""
        self._request = admission.bound(request)
        self._older = max(0, question.position + 1 - MAX_MESSAGES)
        self._admission = admission
        self._place = place
        self._departure = Departure()
        self._lock = threading.Lock()
        self._is_over = False

    @property
    def switched_from(self) -> str | None:
        """The engine that wrote the answer before, when it is another one than this one's."""
        return self.engine_before if self.engine_before != self.facts.engine_id else None

    async def events(self) -> AsyncGenerator[Event]:
        """Yield the answer's events as they come; ``state`` while an engine is waited for.

        Raises what ``stream_answer`` raises; then what was said so far is not kept yet.
        """
        # Until its end was read: who leaves is counted by the worker a moment later.
        self._admission.is_counted = False
        answer = stream_answer(self._request, self._departure)
        async with aclosing(answer) as events:
            async for event in events:
                self.facts.learn(event)
                self.said.take(event)
                yield event
        self._admission.is_counted = True

    def whole(self) -> Message:
        """Have the whole answer written and return it as it is kept; raises what events raise."""
        answer = generate_answer(self._request)
        self._take_whole(answer)
        return self.keep()

    def keep(self, status: str = Message.Status.COMPLETE) -> Message:
        """Keep the answer and return it; a second time it is returned as it was kept.

        Raises NotFoundError when the conversation was deleted meanwhile. Needs a thread.
        """
        with self._lock:
            self._is_over = True
            if self.answer is None:
                self.answer = keep_answer(self.question, self.said.text, self._record(status))
            return self.answer

    def keep_part(self, status: str) -> Message | None:
        """Keep what was written so far, if anything was; an earlier answer stays otherwise.

        What broke off does not take the place of an answer that is whole.
        """
        if self._is_over:
            return self.answer
        if status == BROKEN and answer_to(self.question):
            # Whoever closes the turn next keeps none of it either.
            self._is_over = True
            return None
        if not self.said.text.strip():
            return None
        return self.keep(status)

    def close(self) -> None:
        """End the turn, also for who left in the middle; safe to call twice. Needs a thread."""
        self._departure.tell()
        try:
            # Nobody is left to be told that it has no place any more.
            with suppress(NotFoundError, ConflictError):
                self.keep_part(STOPPED)
        finally:
            self._admission.release()
            if self._place is not None:
                self._place.release()

    def _record(self, status: str) -> AnswerRecord:
        end = self.said.end
        return AnswerRecord(
            engine=CatalogModel.objects.filter(model_id=self.facts.engine_id).first(),
            status=status,
            fallback_for=_cause(self.facts.fallback_for),
            citations=[dict(_citation_record(one)) for one in self.facts.citations or ()],
            left_out=self._older + (self.facts.left_out or 0),
            finish_reason=end.finish_reason if end else "",
            prompt_tokens=end.prompt_tokens if end else None,
            completion_tokens=end.completion_tokens if end else None,
        )

    def _take_whole(self, answer: WholeAnswer) -> None:
        begin = BeginEvent(
            engine_id=answer.engine_id,
            revision_id=answer.revision_id,
            fallback_for=answer.fallback_for,
        )
        self.facts.learn(begin)
        self.facts.citations, self.facts.left_out = answer.citations, answer.left_out
        self.facts.words_only = answer.words_only
        self.said.take(TextEvent(answer.text))
        if answer.end is not None:
            self.said.take(answer.end)


def _require_last(question: Message) -> None:
    later = Message.objects.filter(
        conversation=question.conversation_id, position__gt=question.position
    )
    if later.exists():
        raise ConflictError(
            "More was said since; what this key belongs to is not answered any more."
        )


def _history(question: Message) -> list[ChatMessage]:
    """Return the latest messages up to a question; the engine's context is cut from them."""
    said = Message.objects.filter(
        conversation=question.conversation_id, position__lte=question.position
    )
    latest = said.order_by("-position")[:MAX_MESSAGES]
    return [{"role": m.role, "content": m.content} for m in reversed(latest)]


def _citation_record(citation: Citation) -> CitationRecord:
    return {
        "number": citation.number,
        "chunk_id": citation.chunk_id,
        "document_id": citation.document_id,
        "base_id": citation.base_id,
        "score": citation.score,
        "content_hash": citation.content_hash,
        "start": citation.start,
        "end": citation.end,
    }


def _cause(cause: FallbackCause | None) -> dict[str, str] | None:
    return None if cause is None else {"engine_id": cause.engine_id, "reason": cause.reason}
