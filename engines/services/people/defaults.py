"""The engines of those who chose none."""

from __future__ import annotations

from django.core.exceptions import ValidationError

from engines.exceptions import SamError
from engines.models import EngineDefault
from engines.services.catalog.resolving import pinned_revision


def validate_default(default: EngineDefault) -> None:
    """Raise ValidationError unless the engine can answer those who chose none.

    It chats, is published and visible to them (``EngineDefault.clean``), and its file is pinned or can
    be: the Hub is asked when nothing is pinned yet.
    """
    default.clean()
    try:
        pinned_revision(default.engine)
    except SamError as error:
        raise ValidationError(
            {"engine": f"The file of {default.engine.model_id} cannot be resolved: {error}"}
        ) from error
