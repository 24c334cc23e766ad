"""What a person sees when something is refused, not there or broken; the APIs keep their problems."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views import defaults
from django.views.csrf import csrf_failure

API_PATHS = ("/api/", "/v1/")


@dataclass(frozen=True, slots=True)
class ErrorText:
    """What a page about a status says when nothing more particular is known."""

    title: str
    text: str


TEXTS = {
    400: ErrorText(
        "This request cannot be read",
        "Go back, reload the page and try once more.",
    ),
    403: ErrorText(
        "This is not open to you",
        "Somebody with another role may do this; ask an administrator of SAM if it should be you.",
    ),
    404: ErrorText(
        "There is nothing here",
        "It may have been deleted, or it belongs to somebody else. Check the address, or start from home.",
    ),
    405: ErrorText(
        "There is no page here",
        "Only a form is sent to this address, and nothing was changed now. Start from home.",
    ),
    409: ErrorText("Not now", "Something changed meanwhile; go back and look again."),
    429: ErrorText("That was a lot at once", "Wait a moment and try again."),
    500: ErrorText(
        "Something went wrong on our side",
        "It is logged. Try again in a moment; if it stays, tell an administrator of SAM the time.",
    ),
    502: ErrorText("The engine did not answer", "Try again in a moment."),
    503: ErrorText("Not available at the moment", "Try again in a moment."),
}
FORM_EXPIRED = ErrorText(
    "This page had expired",
    "Nothing was changed. Go back, reload the page and send it again; your browser must accept cookies.",
)


def error_page(request: HttpRequest, status: int, sentence: str = "") -> HttpResponse:
    """Answer with a status as a page; the sentence says what is wrong and what to do next."""
    known = TEXTS.get(status, TEXTS[400 if status < HTTPStatus.INTERNAL_SERVER_ERROR else 500])
    return _page(request, status, ErrorText(known.title, sentence or known.text))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer for handler403."""
    if _is_api(request):
        return defaults.permission_denied(request, exception)
    return error_page(request, 403, str(exception))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer for handler404."""
    if _is_api(request):
        return defaults.page_not_found(request, exception)
    return error_page(request, 404)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer for handler500, without the session, the person or the database: they may be what is broken."""
    if _is_api(request):
        return defaults.server_error(request)
    error = TEXTS[500]
    page = render_to_string(
        "pages/error.html", {"status": 500, "error": error, "title": error.title}
    )
    return HttpResponse(page, status=500)


def form_refused(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Answer a form whose CSRF token is missing or old."""
    if _is_api(request):
        return csrf_failure(request, reason)
    return _page(request, 403, FORM_EXPIRED)


def _page(request: HttpRequest, status: int, error: ErrorText) -> HttpResponse:
    context = {"status": status, "error": error, "title": error.title}
    return render(request, "pages/error.html", context, status=status)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(API_PATHS)
