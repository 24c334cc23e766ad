"""What every page of a person shares: who is signed in, its title and place, whole or as a part for htmx."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event
from django_htmx.middleware import HtmxDetails

from engines.exceptions import SamError
from migrations_app.api.problems import status_of
from migrations_app.live.tail import place_now
from migrations_app.pages.errors import error_page
from migrations_app.plans.visibility import plans_visible_to
from migrations_app.signs import Tone


class PageRequest(HttpRequest):
    """A request as pages see it: htmx's middleware has looked at it, and somebody is signed in."""

    htmx: HtmxDetails
    user: User


class PageView(View):
    """A page of a signed-in person; others are sent to sign in and come back.

    A subclass names its title, its section of the navigation and its template, and answers with
    ``render``. What SAM refuses (SamError) becomes a page, or a toast where htmx asked, with the
    refusal's own sentence and status.
    """

    title: ClassVar[str] = ""
    section: ClassVar[str] = ""
    template_name: ClassVar[str] = ""
    part_name: ClassVar[str] = ""
    """Sent instead of the whole page when htmx asks for it; empty: always the whole."""
    follows_plans: ClassVar[bool] = False
    """Whether it shows plans and has a stream tell what becomes of them."""
    live_since: str = ""
    """The place among all changes at which it is drawn: what its stream tells begins there."""
    request: PageRequest

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Note the place before anything is read: a change is told twice rather than never."""
        super().setup(request, *args, **kwargs)
        if self.follows_plans and request.user.is_authenticated:
            self.live_since = str(place_now(plans_visible_to(request.user)))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return self._send_to_sign_in()
        try:
            return super().dispatch(request, *args, **kwargs)
        except SamError as error:
            return self._refuse(error)

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Answer who opens what only a form sends to, as after signing in on the way, with a page that leads on."""
        allowed = super().http_method_not_allowed(request, *args, **kwargs)
        response = error_page(self.request, allowed.status_code)
        response.headers["Allow"] = allowed.headers["Allow"]
        return response

    @property
    def person(self) -> User:
        """Return who is signed in."""
        return self.request.user

    def render(
        self, context: dict[str, Any] | None = None, *, template: str = "", status: int = 200
    ) -> HttpResponse:
        """Answer with the page, or with its part where htmx asked for that."""
        return render(
            self.request,
            template or self._chosen_template(),
            {
                "title": self.title,
                "section": self.section,
                "live_since": self.live_since,
                **(context or {}),
            },
            status=status,
        )

    def go(self, to: str, **kwargs: Any) -> HttpResponse:
        """Send the browser to another page (a URL's name or an address), also from within htmx."""
        address = resolve_url(to, **kwargs)
        if self.request.htmx:
            return HttpResponseClientRedirect(address)
        return HttpResponseRedirect(address)

    def _send_to_sign_in(self) -> HttpResponse:
        """Come back here afterwards; a part of a page would otherwise show the sign-in in its place."""
        htmx = self.request.htmx
        here = (htmx.current_url_abs_path or "/") if htmx else self._page_here()
        return self.go(f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': here})}")

    def _page_here(self) -> str:
        """Return the page that is asked for, or on which the form stood that was sent: nobody sends it again."""
        if self.request.method in ("GET", "HEAD"):
            return self.request.get_full_path()
        before = self.request.headers.get("Referer", "")
        if not url_has_allowed_host_and_scheme(before, {self.request.get_host()}):
            return "/"
        return urlsplit(before)._replace(scheme="", netloc="", fragment="").geturl() or "/"

    def _chosen_template(self) -> str:
        htmx = self.request.htmx
        wants_part = htmx and not htmx.boosted and not htmx.history_restore_request
        return self.part_name if wants_part and self.part_name else self.template_name

    def _refuse(self, error: SamError) -> HttpResponse:
        if self.request.htmx:
            return toast(HttpResponse(status=status_of(error)), str(error), Tone.DANGER)
        return error_page(self.request, status_of(error), str(error))


def toast(response: HttpResponse, text: str, tone: Tone = Tone.SUCCESS) -> HttpResponse:
    """Let an answer to htmx show a short message; a whole page uses Django's messages instead."""
    return trigger_client_event(response, "sam:toast", {"text": text, "tone": tone})
