"""Addresses that leave SAM in mails: they begin with SAM_ORIGIN, never with what a request says."""

from __future__ import annotations

from django.conf import settings


def absolute_link(path: str) -> str:
    """Return the address of a path of ours."""
    return f"{settings.SAM_ORIGIN}{path}"
