"""The way into ``/v1``, past everything that a request with a token has no use for.

Sessions, cookies, messages and static files each send a request to a thread and back, on its way in and on
its way out: several milliseconds before the first token.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import resolve

from migrations_app.openai_api.cross_origin import preflight, share
from migrations_app.openai_api.errors import WITHOUT_BASE

PREFIXES = ("/v1/", "/v2/")
_SLASHES = re.compile("/{2,}")
_AZURES = re.compile(r"\A/openai/(?:v1/)?")
"""What addresses begin with that Azure's clients make; behind it they are OpenAI's."""
DOORS = frozenset(
    {
        f"/api/{name}"
        for name in ("chat", "generate", "embed", "embeddings", "tags", "ps", "show", "version")
    }
    | {"/mcp", "/v1", *WITHOUT_BASE}
)
"""Addresses of other protocols' own, for programs with a token as well, and those of a program whose base
address lacks its end."""


def is_for_programs(path: str) -> bool:
    """Whether an address is a protocol's for programs with a token."""
    plain = plain_path(path)
    return plain.startswith(PREFIXES) or plain in DOORS


def plain_path(path: str) -> str:
    """Return an address as it is written here: programs add slashes at its end, join two, or think us Azure."""
    single = _AZURES.sub("/v1/", _SLASHES.sub("/", path))
    plain = single.rstrip("/")
    return plain if plain.startswith(PREFIXES) or plain in DOORS else single


class ApiDoor:
    """The outermost middleware: answers what is for programs itself, and lets the rest pass.

    What holds for every answer holds here too: HTTPS, known hosts, the headers for browsers. Those
    middlewares only look at headers, so they need no thread.
    """

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        self._rest = get_response
        self._security = SecurityMiddleware(get_response)
        self._common = CommonMiddleware(get_response)
        self._frames = XFrameOptionsMiddleware(get_response)
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_for_programs(request.path_info):
            return await self._rest(request)
        response: Any = (
            preflight(request)
            or self._security.process_request(request)
            or self._common.process_request(request)
            or await _answered(request)
        )
        for headers in (self._frames, self._common, self._security):
            response = headers.process_response(request, response)
        share(request, response)
        return cast("HttpResponseBase", response)


async def _answered(request: HttpRequest) -> HttpResponseBase:
    request.path_info = plain_path(request.path_info)
    request.resolver_match = match = resolve(request.path_info)
    response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
    return response
