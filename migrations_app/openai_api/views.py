"""The endpoints under ``/v1/``, for any client of OpenAI's API."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from functools import wraps
from typing import Any

import numpy as np
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from numpy.typing import NDArray

from engines.exceptions import SamError
from engines.models import ModelRevision
from engines.services.answers.messages import AnswerPart, AnswerRequest, EndEvent, Event
from engines.services.people.usage import add_usage
from migrations_app.limits.admission import Admission, count_characters
from migrations_app.openai_api import responses as answers
from migrations_app.openai_api.access import (
    ACTIVE,
    caller,
    embedder_for,
    models_for,
    named_revision,
    spender,
)
from migrations_app.openai_api.errors import (
    INTERNAL,
    NOT_FOUND,
    RefusedError,
    WrongMethodError,
    error_response,
)
from migrations_app.openai_api.requests import (
    AskedText,
    AskedVectors,
    Body,
    chat_request,
    completion_request,
    embedding_request,
    read_body,
)
from migrations_app.openai_api.response_bodies import (
    EmbeddingList,
    ModelEntry,
    ModelList,
    body_response,
)
from migrations_app.serving.client import LiveClient
from migrations_app.serving.embedder import batched_texts
from migrations_app.serving.protocol import EMBED, EmbedRequest
from migrations_app.serving.sse import EventStream
from migrations_app.serving.stream_client import stream_answer

logger = logging.getLogger(__name__)

EMBED_SECONDS = 60.0
FALLBACK_HEADER = "X-SAM-Fallback-For"

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]
Admitted = tuple[AskedText, AnswerRequest, Admission]


def endpoint(method: str) -> Callable[[View], View]:
    """Wrap a view of one method: whatever goes wrong is answered in OpenAI's shape."""

    def wrap(view: View) -> View:
        @csrf_exempt  # a token is sent on purpose, unlike a cookie
        @wraps(view)
        async def wrapped(request: HttpRequest, **lookup: Any) -> HttpResponseBase:
            try:
                _check_method(request, method)
                return await view(request, **lookup)
            except SamError as error:
                return error_response(error)
            except Exception:
                # The one broad except: clients of /v1 read no HTML.
                logger.exception("a request to /v1 failed")
                return error_response(
                    RefusedError(
                        "Something went wrong on our side; it is logged.",
                        status=INTERNAL,
                        code="internal_error",
                    )
                )

        return wrapped

    return wrap


def _check_method(request: HttpRequest, method: str) -> None:
    if request.method != method:
        raise WrongMethodError(method)


@endpoint("POST")
async def chat_completions(request: HttpRequest) -> HttpResponseBase:
    """Answer messages with the named or the active engine."""
    return await _answer(answers.ChatShape(), request, chat_request)


@endpoint("POST")
async def completions(request: HttpRequest) -> HttpResponseBase:
    """Continue a raw prompt with the named or the active engine."""
    return await _answer(answers.CompletionShape(), request, completion_request)


def _admitted(request: HttpRequest, read: Callable[[Body], AskedText]) -> Admitted:
    """Return what is asked for, and of the worker; a stranger is told so before anything else."""
    user = spender(request)
    asked = read(read_body(request))
    question = asked.request_of(user.pk, named_revision(user, asked.model))
    admission = Admission(user, count_characters(question), question.max_tokens or 0)
    return asked, admission.bound(question), admission


async def _admit(request: HttpRequest, read: Callable[[Body], AskedText]) -> Admitted:
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


async def _answer(
    shape: answers.Shape, request: HttpRequest, read: Callable[[Body], AskedText]
) -> HttpResponseBase:
    asked, question, admission = await _admit(request, read)
    response: HttpResponseBase | None = None
    try:
        response = await _answer_admitted(shape, asked, question, admission)
    finally:
        if not isinstance(response, _EventStream):
            await sync_to_async(admission.release)()
    return response


async def _answer_admitted(
    shape: answers.Shape, asked: AskedText, question: AnswerRequest, admission: Admission
) -> HttpResponseBase:
    client_left = threading.Event()
    events = stream_answer(question, client_left)
    opening = answers.Opening()
    first = await _first_word(events, opening)
    rest = _with_first(first, events)
    if not asked.stream:
        whole = body_response(await answers.whole_answer(shape, opening, rest))
        return _name_fallback(whole, opening)
    body = answers.chunks(shape, opening, rest, include_usage=asked.include_usage)
    return _name_fallback(_EventStream(body, client_left, admission), opening)


def _name_fallback(response: HttpResponseBase, opening: answers.Opening) -> HttpResponseBase:
    """Name in a header the engine for which another one answers."""
    if opening.fallback_for is not None:
        response[FALLBACK_HEADER] = opening.fallback_for.engine_id
    return response


async def _first_word(events: AsyncIterator[Event], opening: answers.Opening) -> Event:
    """Wait for the first word: until then an error still has a status of its own."""
    async for event in events:
        if isinstance(event, AnswerPart | EndEvent):
            return event
        opening.learn(event)
    raise RefusedError("The engine said nothing.", status=INTERNAL, code="internal_error")


async def _with_first(first: Event, rest: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
    yield first
    async for event in rest:
        yield event


class _EventStream(EventStream):
    """Server-sent events whose end, also by a client that leaves, stops the engine."""

    def __init__(
        self, body: AsyncIterator[bytes], client_left: threading.Event, admission: Admission
    ) -> None:
        super().__init__(self._until_end(body))
        self._client_left = client_left
        self._admission = admission
        # Until its end was read: who leaves is counted by the worker a moment later.
        admission.is_counted = False

    async def _until_end(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        async for chunk in body:
            yield chunk
        self._admission.is_counted = True

    def close(self) -> None:
        # Django calls it in any case; the generators behind it may end only when they are collected.
        self._client_left.set()
        self._admission.release()
        super().close()


@endpoint("POST")
async def embeddings(request: HttpRequest) -> HttpResponseBase:
    """Return vectors of texts by the named embedder, or the one the active engine searches with."""
    user = await sync_to_async(spender)(request)
    asked = embedding_request(read_body(request))
    return body_response(await sync_to_async(_embedded)(user, asked))


def _embedded(user: User, asked: AskedVectors) -> EmbeddingList:
    admission = Admission(user, sum(map(len, asked.texts)), 1)
    try:
        return _embedded_admitted(user, asked)
    finally:
        admission.release()


def _embedded_admitted(user: User, asked: AskedVectors) -> EmbeddingList:
    model, revision = embedder_for(user, asked.model)
    vectors, tokens = _vectors(user, revision, asked)
    if asked.dimensions not in (None, vectors.shape[1]):
        raise RefusedError(
            f"{model.model_id} has {vectors.shape[1]} dimensions; leave dimensions out.",
            param="dimensions",
        )
    add_usage(user.pk, tokens, 0)
    return answers.embeddings(model.model_id, vectors, tokens, packed=asked.base64)


def _vectors(
    user: User, revision: ModelRevision, asked: AskedVectors
) -> tuple[NDArray[np.float32], int]:
    """Return vectors (n, d) and the texts' tokens; RefusedError names a text without a vector."""
    live = LiveClient(settings.REDIS_URL)
    parts: list[NDArray[np.float32]] = []
    tokens = 0
    for texts in batched_texts(asked.texts):
        request = EmbedRequest(
            revision_id=revision.pk,
            texts=list(texts),
            role=asked.role,
            count=True,
            user_id=user.pk,
        )
        reply = live.call(EMBED, request, timeout=EMBED_SECONDS)
        batch = reply.batch(len(texts))
        if batch.errors:
            number, sentence = min(batch.errors.items())
            place = sum(map(len, parts)) + number
            raise RefusedError(f"Text {place}: {sentence}", param=f"input[{place}]")
        parts.append(batch.vectors)
        tokens += reply.tokens
    return np.concatenate(parts), tokens


@endpoint("GET")
async def model_list(request: HttpRequest) -> HttpResponseBase:
    """List the active engine under its standing name, and what else the caller may use."""
    return body_response(ModelList(data=await sync_to_async(_models)(request)))


@endpoint("GET")
async def model_detail(request: HttpRequest, *, name: str) -> HttpResponseBase:
    """Return one model of the list."""
    for entry in await sync_to_async(_models)(request):
        if entry.id == name:
            return body_response(entry)
    raise RefusedError(
        "No such engine is offered to you; /v1/models lists those that are.",
        param="model",
        status=NOT_FOUND,
        code="model_not_found",
    )


def _models(request: HttpRequest) -> list[ModelEntry]:
    user = caller(request)
    found = [
        ModelEntry(id=model.model_id, created=int(model.created_at.timestamp()))
        for model in models_for(user)
    ]
    return [ModelEntry(id=ACTIVE, created=int(user.date_joined.timestamp())), *found]


@csrf_exempt
async def unknown(request: HttpRequest) -> HttpResponseBase:
    """Answer an unknown address as everything else."""
    return error_response(
        RefusedError("There is nothing at this address.", status=NOT_FOUND, code="not_found")
    )
