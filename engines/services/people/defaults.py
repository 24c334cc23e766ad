"""The engines of those who chose none."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction

from engines.exceptions import (
    InvalidRequestError,
    NotFoundError,
    SamError,
    WouldReplaceError,
)
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


def set_default(
    group: Group | None, engine: CatalogModel, *, replaces: str | None = None
) -> EngineDefault:
    """Name the engine of a group's people who chose none, or without a group the organisation's.

    ``replaces`` is the default that whoever asks knows of, by its id and empty for none; without it
    whatever is there is replaced. InvalidRequestError for an engine that cannot answer them,
    WouldReplaceError for another default than they know of; the default then stays as it was.
    """
    default = EngineDefault(group=group, engine=engine)
    try:
        # The Hub may be asked here, so no transaction is open.
        validate_default(default)
    except ValidationError as error:
        raise InvalidRequestError(" ".join(error.messages)) from error
    with transaction.atomic():
        if replaces is not None:
            _require_known(group, engine, replaces)
        kept, _ = EngineDefault.objects.update_or_create(group=group, defaults={"engine": engine})
    return kept


def _require_known(group: Group | None, engine: CatalogModel, known: str) -> None:
    rows = EngineDefault.objects.select_for_update(of=("self",)).select_related("engine")
    there = rows.filter(group=group).first()
    if there is None or there.engine_id == engine.pk or there.engine.model_id == known:
        return
    whose = f"The group {group.name}" if group else "The organisation"
    raise WouldReplaceError(
        f"{whose} has a default already, {there.engine.display_name}; nothing was changed yet. Send it "
        f"again to have {engine.display_name} in its place.",
        there.engine.model_id,
    )


def clear_default(group: Group | None) -> None:
    """Take a default away: the next one in order answers its people. NotFoundError without one."""
    if not EngineDefault.objects.filter(group=group).delete()[0]:
        raise NotFoundError("There is no such default.")
