"""Pages of other origins: those that SAM_CORS_ORIGINS names may ask the doors for programs with a token.

No cookie opens these doors, so nothing is allowed that a program elsewhere could not do.
Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
EXPOSED = "Retry-After, X-SAM-Fallback-For, X-SAM-Ignored, x-should-retry, Mcp-Session-Id"
REMEMBER_SECONDS = 600
ANYBODY = "*"


def preflight(request: HttpRequest) -> HttpResponse | None:
    """Return the answer to a browser that asks whether a page may ask; None for everything else."""
    asked = request.headers.get("Access-Control-Request-Method")
    if request.method != "OPTIONS" or asked is None or not _is_allowed(request):
        return None
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = METHODS
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    response["Access-Control-Allow-Headers"] = wanted or "authorization, content-type"
    response["Access-Control-Max-Age"] = str(REMEMBER_SECONDS)
    return response


def share(request: HttpRequest, response: Any) -> None:
    """Let a page of an allowed origin read an answer."""
    if settings.SAM_CORS_ORIGINS:
        patch_vary_headers(response, ("Origin",))
    if _is_allowed(request):
        is_anybody = ANYBODY in settings.SAM_CORS_ORIGINS
        response["Access-Control-Allow-Origin"] = (
            ANYBODY if is_anybody else request.headers["Origin"]
        )
        response["Access-Control-Expose-Headers"] = EXPOSED


def _is_allowed(request: HttpRequest) -> bool:
    origin = request.headers.get("Origin")
    allowed = settings.SAM_CORS_ORIGINS
    return origin is not None and (ANYBODY in allowed or origin in allowed)
