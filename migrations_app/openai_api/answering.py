"""One way from a checked question to its answer, for every protocol that people's programs speak."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase

from engines.services.answers.messages import AnswerRequest, Event
from migrations_app.limits.admission import Admission, count_characters
from migrations_app.openai_api.access import named_revision, spender
from migrations_app.openai_api.first_word import FirstWord, paced
from migrations_app.openai_api.requests import AskedText, Body, read_body
from migrations_app.openai_api.response_bodies import body_response
from migrations_app.openai_api.responses import Face, Opening, whole_answer
from migrations_app.serving.departure import Departure
from migrations_app.serving.streams.client import stream_answer
from migrations_app.serving.streams.sse import EventStream

FALLBACK_HEADER = "X-SAM-Fallback-For"
IGNORED_HEADER = "X-SAM-Ignored"
HEADERS_SECONDS = 1.0
"""How long a stream's headers wait for its first word, or for what is wrong with it."""

Read = Callable[[Body], AskedText]
Admitted = tuple[AskedText, list[AnswerRequest], Admission]


def _admitted(request: HttpRequest, read: Read) -> Admitted:
    """Return what is asked for, and of the worker; a stranger is told so before anything else."""
    user = spender(request)
    asked = read(read_body(request))
    first, *others = asked.requests_of(user.pk, named_revision(user, asked.model))
    admission = Admission(user, count_characters(first), first.max_tokens or 0)
    return asked, [admission.bound(first), *others], admission


async def _admit(request: HttpRequest, read: Read) -> Admitted:
    admitting = asyncio.ensure_future(sync_to_async(_admitted)(request, read))
    try:
        return await asyncio.shield(admitting)
    except asyncio.CancelledError:
        # The thread goes on after its client has left, and nobody else knows what it takes.
        admitting.add_done_callback(_give_back)
        raise


def _give_back(admitting: asyncio.Future[Admitted]) -> None:
    if admitting.cancelled() or admitting.exception() is not None:
        return
    _, _, admission = admitting.result()
    threading.Thread(target=admission.release, name="give back").start()


async def answer(face: Face, request: HttpRequest, read: Read) -> HttpResponseBase:
    """Answer a request as its protocol shows it; raises what goes wrong before the first word."""
    asked, questions, admission = await _admit(request, read)
    response: HttpResponseBase | None = None
    try:
        response = await _answer_admitted(face, asked, questions, admission)
    finally:
        if not isinstance(response, _AnswerStream):
            await sync_to_async(admission.release)()
    return response


def name_ignored(response: HttpResponseBase, ignored: Sequence[str]) -> HttpResponseBase:
    """Name in a header what was sent and changes nothing here."""
    if ignored:
        response[IGNORED_HEADER] = ", ".join(ignored)
    return response


async def _answer_admitted(
    face: Face, asked: AskedText, questions: Sequence[AnswerRequest], admission: Admission
) -> HttpResponseBase:
    departure = Departure()
    events = _answers(questions, admission, departure)
    opening = Opening()
    if not asked.stream:
        whole = body_response(await whole_answer(face, opening, events))
        return _name_facts(whole, opening, asked)
    first = FirstWord(events, opening)
    await first.wait(HEADERS_SECONDS)
    if not opening.engine_id:
        opening.late_switch, opening.late_effort = asked.switch, asked.effort
    body = face.stream(opening, paced(first.and_rest()), asked)
    streamed = _AnswerStream(body, departure, admission, first)
    streamed["Content-Type"] = face.content_type
    return _name_facts(streamed, opening, asked)


async def _answers(
    questions: Sequence[AnswerRequest], admission: Admission, departure: Departure
) -> AsyncGenerator[Event]:
    """Yield the events of each answer, one answer after the other: together they hold one place."""
    for number, question in enumerate(questions):
        bounded = await sync_to_async(admission.take_next)(question) if number else question
        async with aclosing(stream_answer(bounded, departure)) as events:
            async for event in events:
                yield event


def _name_facts(response: HttpResponseBase, opening: Opening, asked: AskedText) -> HttpResponseBase:
    """Name in headers the engine for which another one answers, and what changed nothing."""
    if opening.fallback_for is not None:
        response[FALLBACK_HEADER] = opening.fallback_for.engine_id
    unheard = opening.name_unheard(asked.switch, asked.effort)
    return name_ignored(response, [*asked.ignored, *unheard])


class _AnswerStream(EventStream):
    """An answer piece by piece whose end, also by a client that leaves, stops the engine."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        departure: Departure,
        admission: Admission,
        first: FirstWord,
    ) -> None:
        super().__init__(self._until_end(body))
        self._departure = departure
        self._first = first
        self._admission = admission
        # Until its end was read: who leaves is counted by the worker a moment later.
        admission.is_counted = False

    async def _until_end(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        async for chunk in body:
            yield chunk
        self._admission.is_counted = True

    def close(self) -> None:
        # Django calls it in any case; the generators behind it may end only when they are collected.
        self._departure.tell()
        self._first.give_up()
        self._admission.release()
        super().close()
