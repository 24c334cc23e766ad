"""Light, dark, or as the reader's system is: a cookie, so that the first byte is already right."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

COOKIE = "sam-theme"
"""Read and written by ``theme.js`` as well."""
CHOICES = ("light", "dark")
YEAR_SECONDS = 31_536_000


def theme_of(request: HttpRequest) -> str:
    """Return the chosen theme; empty when the system decides."""
    chosen = request.COOKIES.get(COOKIE, "")
    return chosen if chosen in CHOICES else ""


@require_POST
def choose_theme(request: HttpRequest) -> HttpResponse:
    """Keep a choice, for browsers without JavaScript, and go back to where it was made."""
    chosen, back = request.POST.get("theme", ""), request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(back, {request.get_host()})
    response = redirect(back if is_ours else "home")
    if chosen in CHOICES:
        response.set_cookie(
            COOKIE,
            chosen,
            max_age=YEAR_SECONDS,
            secure=settings.SESSION_COOKIE_SECURE,
            samesite="Lax",
        )
    else:
        response.delete_cookie(COOKIE, samesite="Lax")
    return response
