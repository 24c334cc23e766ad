"""Times that the server writes are in the reader's zone, which the browser tells by a cookie."""

from __future__ import annotations

import zoneinfo
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.decorators import sync_and_async_middleware

COOKIE = "sam-zone"
"""Written by ``sam/js/zone.js``."""
MAX_LENGTH = 64

Answer = Callable[[HttpRequest], HttpResponseBase]
LaterAnswer = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@sync_and_async_middleware
def reader_zone(get_response: Answer | LaterAnswer) -> Answer | LaterAnswer:
    """Write the times of an answer in the zone of whoever asked, or in UTC where none is known."""
    if iscoroutinefunction(get_response):
        return _answering_later(cast("LaterAnswer", get_response))
    return _answering(cast("Answer", get_response))


def _answering_later(rest: LaterAnswer) -> LaterAnswer:
    async def answer(request: HttpRequest) -> HttpResponseBase:
        with timezone.override(_zone_of(request)):
            return await rest(request)

    return answer


def _answering(rest: Answer) -> Answer:
    def answer(request: HttpRequest) -> HttpResponseBase:
        with timezone.override(_zone_of(request)):
            return rest(request)

    return answer


def _zone_of(request: HttpRequest) -> zoneinfo.ZoneInfo | None:
    return _zone(request.COOKIES.get(COOKIE, "")[:MAX_LENGTH])


@lru_cache(maxsize=64)
def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # A cookie is whatever its sender likes.
        return None
