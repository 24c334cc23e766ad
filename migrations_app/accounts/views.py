"""allauth's views where more is known here: of a provider that does not answer, of addresses that were given."""

from __future__ import annotations

import logging
from collections.abc import Callable

from allauth.account.models import EmailAddress
from allauth.account.views import email
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.openid_connect import views
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from requests import RequestException

logger = logging.getLogger(__name__)


def change_email(request: HttpRequest) -> HttpResponseBase:
    """Show and change one's address; the one in force stays until the new one is confirmed."""
    if isinstance(request.user, User):
        _vouch_for_address(request.user)
    return email(request)


def _vouch_for_address(user: User) -> None:
    """Note that an administrator gave the address: allauth forgets one that nobody vouches for."""
    came_by_provider = SocialAccount.objects.filter(user=user).exists()
    taken = EmailAddress.objects.filter(email__iexact=user.email, verified=True).exists()
    if not user.email or came_by_provider or taken:
        return
    EmailAddress.objects.update_or_create(
        user=user, email=user.email.lower(), defaults={"verified": True, "primary": True}
    )


def begin_oidc(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Send the browser to the provider."""
    return _or_sentence(views.login, request, provider_id)


def end_oidc(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Sign in whom the provider names."""
    return _or_sentence(views.callback, request, provider_id)


def _or_sentence(
    view: Callable[[HttpRequest, str], HttpResponse], request: HttpRequest, provider_id: str
) -> HttpResponse:
    try:
        return view(request, provider_id)
    except RequestException as error:
        # Its words may hold the code that was to be exchanged.
        logger.error("The identity provider does not answer: %s", type(error).__name__)  # noqa: TRY400
        return render(request, "socialaccount/authentication_error.html", status=503)
