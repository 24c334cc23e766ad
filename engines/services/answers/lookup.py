"""Whom and what a request names."""

from __future__ import annotations

from django.contrib.auth.models import User

from engines.exceptions import NotFoundError
from engines.models import ModelRevision


def require_revision(key: int) -> ModelRevision:
    """Return the revision with this key; NotFoundError when there is none."""
    rows = ModelRevision.objects.select_related("model")
    revision = rows.filter(pk=key).first()
    if revision is None:
        raise NotFoundError("There is no such model revision.")
    return revision


def require_person(key: int) -> User:
    """Return the active person with this key; NotFoundError when there is none."""
    user = User.objects.filter(pk=key, is_active=True).first()
    if user is None:
        raise NotFoundError("There is no such person.")
    return user
