"""Whom and what a live request names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User

from engines.exceptions import (
    NotFoundError,
)
from engines.models import ModelRevision
from worker.process.errors import parse_id

Payload = Mapping[str, Any]


def revision_of(value: object) -> ModelRevision:
    """Return the revision with this key; NotFoundError when there is none."""
    rows = ModelRevision.objects.select_related("model")
    revision = rows.filter(pk=parse_id(value)).first()
    if revision is None:
        raise NotFoundError("There is no such model revision.")
    return revision


def user_of(payload: Payload) -> User:
    """Return the active person a request is for; NotFoundError when there is none."""
    user = User.objects.filter(pk=parse_id(payload.get("user_id")), is_active=True).first()
    if user is None:
        raise NotFoundError("There is no such person.")
    return user
