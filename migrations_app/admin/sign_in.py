"""The admin's own login is closed, and so are allauth's pages in the admin.

The login knows no second factor, so the pages' sign-in stands before it. allauth's tables are asked by
Django's permission table, not by role, and are changed through a person's page and settings only.
"""

from __future__ import annotations

from typing import Any

from allauth.account import admin as account_pages
from allauth.account.decorators import secure_admin_login
from allauth.mfa import admin as factor_pages
from allauth.socialaccount import admin as provider_pages
from allauth.usersessions import admin as session_pages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

_PAGES = (account_pages, factor_pages, provider_pages, session_pages)
"""Imported, so that they are there to be taken away."""
NO_STAFF = (
    "The admin asks for “staff status” besides a role, and you have none. Ask an administrator to tick it on "
    "your page under “People”."
)


def close_own_login(site: AdminSite) -> None:
    """Send who is not signed in to the sign-in of everybody, and back; others are told what they lack."""
    sign_in = secure_admin_login(site.login)  # type: ignore[no-untyped-call]

    def refuse_or_sign_in(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated and not request.user.is_staff:
            raise PermissionDenied(NO_STAFF)
        answer: HttpResponse = sign_in(request, *args, **kwargs)
        return answer

    site.login = refuse_or_sign_in  # type: ignore[method-assign]


def remove_pages_of_allauth(site: AdminSite) -> None:
    """Take allauth's pages out of the admin."""
    names = {page.__name__.rpartition(".")[0] for page in _PAGES}
    site.unregister(
        [model for model in list(site._registry) if model._meta.app_config.name in names]
    )
