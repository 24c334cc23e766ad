"""The admin's own login is closed, and so are allauth's pages in the admin.

The login knows no second factor, so the pages' sign-in stands before it. allauth's tables are asked by
Django's permission table, not by role, and are changed through a person's page and settings only.
"""

from __future__ import annotations

from allauth.account import admin as account_pages
from allauth.account.decorators import secure_admin_login
from allauth.mfa import admin as factor_pages
from allauth.socialaccount import admin as provider_pages
from allauth.usersessions import admin as session_pages
from django.contrib.admin import AdminSite

_PAGES = (account_pages, factor_pages, provider_pages, session_pages)
"""Imported, so that they are there to be taken away."""


def close_own_login(site: AdminSite) -> None:
    """Send who is not signed in to the sign-in of everybody, and back; others are refused."""
    site.login = secure_admin_login(site.login)  # type: ignore[method-assign, no-untyped-call]


def remove_pages_of_allauth(site: AdminSite) -> None:
    """Take allauth's pages out of the admin."""
    names = {page.__name__.rpartition(".")[0] for page in _PAGES}
    site.unregister(
        [model for model in list(site._registry) if model._meta.app_config.name in names]
    )
