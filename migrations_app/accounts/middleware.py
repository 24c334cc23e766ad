"""Sends who must have a second factor to the page that sets one up, until there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.deprecation import MiddlewareMixin

from migrations_app.accounts.second_factor import NOBODY, has_factor, must_have_factor

OPEN = ("/accounts/", "/static/", "/healthz")
API = "/api/"
SENTENCE = "A second factor is required here; set it up first."


class RequireSecondFactor(MiddlewareMixin):
    """Not there at all unless SAM_REQUIRE_SECOND_FACTOR asks for it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if settings.SAM_REQUIRE_SECOND_FACTOR == NOBODY:
            raise MiddlewareNotUsed
        super().__init__(get_response)

    def process_view(
        self, request: HttpRequest, _view: Any, _args: Any, _kwargs: Any
    ) -> HttpResponse | None:
        """Let the session of a person pass who needs no factor or has one."""
        user = request.user
        if request.path_info.startswith(OPEN) or not isinstance(user, User):
            return None
        if not must_have_factor(user) or has_factor(user):
            return None
        if request.path_info.startswith(API):
            problem = {"status": 403, "code": "second_factor", "detail": SENTENCE}
            return JsonResponse(problem, status=403, content_type="application/problem+json")
        messages.warning(request, SENTENCE)
        return redirect("mfa_activate_totp")
