"""The admin's own login is closed: it knows no second factor, so the pages' sign-in stands before it."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib.admin import AdminSite


def close_own_login(site: AdminSite) -> None:
    """Send who is not signed in to the sign-in of everybody, and back; others are refused."""
    site.login = secure_admin_login(site.login)  # type: ignore[method-assign, no-untyped-call]
