"""What every endpoint of an API for programs does: one method, and errors in its protocol's shape."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from engines.exceptions import SamError
from migrations_app.openai_api.errors import (
    INTERNAL,
    RefusedError,
    WrongMethodError,
    error_response,
)

logger = logging.getLogger(__name__)

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]
ErrorShape = Callable[[SamError], HttpResponse]


def endpoint(method: str, show: ErrorShape = error_response) -> Callable[[View], View]:
    """Wrap a view of one method: whatever goes wrong is answered in the shape of its protocol."""

    def wrap(view: View) -> View:
        @csrf_exempt  # a token is sent on purpose, unlike a cookie
        @wraps(view)
        async def wrapped(request: HttpRequest, **lookup: Any) -> HttpResponseBase:
            try:
                if request.method == "OPTIONS":
                    return _methods(method)
                _check_method(request, method)
                return await view(request, **lookup)
            except SamError as error:
                return show(error)
            except Exception:
                # The one broad except: clients of an API read no HTML.
                logger.exception("a request to an API failed")
                return show(
                    RefusedError(
                        "Something went wrong on our side; it is logged.",
                        status=INTERNAL,
                        code="internal_error",
                    )
                )

        return wrapped

    return wrap


def _check_method(request: HttpRequest, method: str) -> None:
    # A server leaves the body out of what HEAD is answered with.
    if request.method != method and (request.method, method) != ("HEAD", "GET"):
        raise WrongMethodError(method)


def _methods(method: str) -> HttpResponse:
    """Return which methods an address knows; that is no secret."""
    response = HttpResponse(status=204)
    response["Allow"] = f"{'GET, HEAD' if method == 'GET' else method}, OPTIONS"
    return response
