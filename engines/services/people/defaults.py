"""The engines of those who chose none."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction

from engines.exceptions import InvalidRequestError, NotFoundError, SamError
from engines.models import CatalogModel, EngineDefault
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


def set_default(group: Group | None, engine: CatalogModel) -> EngineDefault:
    """Name the engine of a group's people who chose none, or without a group the organisation's.

    InvalidRequestError for an engine that cannot answer them; the default then stays as it was.
    """
    default = EngineDefault(group=group, engine=engine)
    try:
        # The Hub may be asked here, so no transaction is open.
        validate_default(default)
    except ValidationError as error:
        raise InvalidRequestError(" ".join(error.messages)) from error
    with transaction.atomic():
        kept, _ = EngineDefault.objects.update_or_create(group=group, defaults={"engine": engine})
    return kept


def clear_default(group: Group | None) -> None:
    """Take a default away: the next one in order answers its people. NotFoundError without one."""
    if not EngineDefault.objects.filter(group=group).delete()[0]:
        raise NotFoundError("There is no such default.")
