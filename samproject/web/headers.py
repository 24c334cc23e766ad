"""What every answer tells browsers and caches: run only our own code, keep nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
    "form-action 'self'; img-src 'self' data:"
)
DOCUMENTATION = "/api/docs/"
DOCUMENTATION_POLICY = f"{POLICY}; style-src 'self' 'unsafe-inline'"
"""Swagger's page writes styles of its own; its code comes from our address as well."""
NO_STORE = "no-store"


class AnswerHeaders:
    """The outermost middleware; static files keep their own rules for caches."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        self._rest = get_response
        self._static = f"/{settings.STATIC_URL.strip('/')}/"
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = await self._rest(request)
        is_documentation = request.path_info.startswith(DOCUMENTATION)
        response.headers.setdefault(
            "Content-Security-Policy", DOCUMENTATION_POLICY if is_documentation else POLICY
        )
        if not request.path_info.startswith(self._static):
            response.headers["Cache-Control"] = NO_STORE
        return response
