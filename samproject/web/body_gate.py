"""Large bodies are received from those only who may send them now.

Django spools a whole body to disk before any view looks at the request. Here a request that announces much
is judged by its headers first: whose it is, how often they ask, how much they have under way, and how large
a body the address takes. The views judge again; what is refused here costs neither disk nor time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from io import BytesIO
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    HTTPScope,
)
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError, close_old_connections
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from rest_framework.exceptions import APIException, NotAuthenticated

from engines.exceptions import SamError
from engines.services.people.tokens import find_owner
from engines.services.people.usage import check_quota, today, with_quota
from migrations_app.api.parsers import refuse_large_body
from migrations_app.api.problems import problem_response
from migrations_app.compatible_api.protocols import error_at
from migrations_app.limits.held import ANSWERS, UPLOADS, Held, hold
from migrations_app.limits.rates import limit_address, refuse_person
from migrations_app.openai_api.access import key_of, refuse_stranger
from migrations_app.openai_api.errors import too_large
from migrations_app.openai_api.middleware import is_for_programs
from samproject.web.headers import AnswerHeaders

SMALL_BYTES = 64 * 1024
"""Bodies up to this size are received from anybody; forms and most questions are smaller."""
LINGER_SECONDS = 2.0
"""A connection that is closed while a client sends is reset, and the refusal may be lost on its way."""


class BodyGate:
    """An ASGI application around Django's."""

    def __init__(self, application: ASGI3Application) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not _announces_much(scope):
            await self._application(scope, receive, send)
            return
        async with ThreadSensitiveContext():
            request = ASGIRequest(scope, BytesIO())
            judged = await sync_to_async(_judge)(request)
            if isinstance(judged, HttpResponseBase):
                await _refuse(request, judged, receive, send)
                return
            receiving = _Receiving(receive, judged)
            try:
                await self._application(scope, receiving, send)
            finally:
                await receiving.end()


def _announces_much(scope: HTTPScope) -> bool:
    """Whether the body is large, or of a length that nobody said."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return True
    length = headers.get(b"content-length", b"0")
    return not length.isdigit() or int(length) > SMALL_BYTES


def _judge(request: ASGIRequest) -> Held | HttpResponse | None:
    """Return a place for the body while it comes, None where there is no limit, or a refusal."""
    for_programs = is_for_programs(request.path_info)
    try:
        user = _require_sender(request, for_programs=for_programs)
        refuse_person(user.pk)
        if for_programs:
            check_quota(with_quota(User.objects.filter(pk=user.pk), today()).get())
        _refuse_size(request, for_programs=for_programs)
        return hold(user.pk, ANSWERS if for_programs else UPLOADS)
    except SamError as error:
        return error_at(request.path_info, error) if for_programs else problem_response(error)
    except APIException as error:
        return problem_response(error)
    except DatabaseError:
        # While it is away the views say so, each in its own way.
        return None
    finally:
        close_old_connections()


def _require_sender(request: ASGIRequest, *, for_programs: bool) -> User:
    user = _sender(request)
    if user is not None:
        return user
    if for_programs:
        refuse_stranger(request)
    limit_address(request)
    raise NotAuthenticated


def _sender(request: ASGIRequest) -> User | None:
    """Return whose token or session a request carries."""
    if key := key_of(request):
        return find_owner(key)
    SessionMiddleware(lambda _: HttpResponse()).process_request(request)
    user = get_user(request)
    return user if isinstance(user, User) else None


def _refuse_size(request: Any, *, for_programs: bool) -> None:
    """Refuse more than the address takes; what its view would refuse once it has all of it."""
    if for_programs:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise too_large()
        return
    view: Any = None
    with suppress(Resolver404):
        view = resolve(request.path_info).func
    kind = getattr(view, "cls", None)
    if kind is not None:
        refuse_large_body(request, getattr(kind, "max_upload_bytes", 0))


async def _refuse(
    request: ASGIRequest, refusal: HttpResponse, receive: ASGIReceiveCallable, send: Any
) -> None:
    """Answer without reading; what comes all the same in a moment is thrown away."""

    async def refused(_: object) -> HttpResponseBase:
        return refusal

    refusal.headers["Content-Length"] = str(len(refusal.content))
    refusal.headers["Connection"] = "close"
    await AnswerHeaders(refused)(request)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in refusal.items()]
    await send({"type": "http.response.start", "status": refusal.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.content, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while _has_more(await receive()):
                pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _has_more(message: Any) -> bool:
    return bool(message.get("more_body", False))


class _Receiving:
    """Receives a body, and gives its place back when all of it is here."""

    def __init__(self, receive: ASGIReceiveCallable, held: Held | None) -> None:
        self._receive = receive
        self._held = held

    async def __call__(self) -> ASGIReceiveEvent:
        message = await self._receive()
        if not _has_more(message):
            await self.end()
        return message

    async def end(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await sync_to_async(held.release)()
