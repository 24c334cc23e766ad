"""What pages about engines share: the parts of the subject, and engines by their names."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from django.urls import reverse

from engines.exceptions import InvalidRequestError
from engines.models import CatalogModel, ModelRole
from engines.services.engine_choice import effective_engine
from engines.services.people.roles import is_curator, is_operator
from migrations_app.library import catalog_shown_to
from migrations_app.pages.components import Link

SECTION = "engines"
MAX_TEXT = 200
MAX_OFFERED = 100
"""Engines that a field offers while one types; others are named by their ids."""


def tabs_for(person: User, current: str) -> list[Link]:
    """Return the parts of the subject that a person may open; ``current`` is the name of an address."""
    parts = [("Library", "engines", "engine")]
    if is_operator(person):
        parts.append(("Downloads", "engine-downloads", "download"))
    parts.append(("Settings", "engine-settings", "settings"))
    return [
        Link(label, reverse(name), icon, is_current=name == current) for label, name, icon in parts
    ]


def engine_shown_to(person: User, model_id: str) -> CatalogModel:
    """Return an engine that a person may look at; one that is not theirs is not there.

    What answers them is theirs to see, also when it is not offered any more.
    """
    mine, _ = effective_engine(person)
    rows = catalog_shown_to(person)
    if mine is not None and mine.model_id == model_id:
        rows = CatalogModel.objects.all()
    model = (
        rows.select_related("current_revision", "embedding_model").filter(model_id=model_id).first()
    )
    if model is None:
        raise Http404
    return model


def engine_named(person: User, model_id: str) -> CatalogModel:
    """Return the engine that somebody typed; InvalidRequestError when they know none of that name."""
    model = catalog_shown_to(person).filter(model_id=model_id).first()
    if model is None:
        raise InvalidRequestError(
            f"No engine is called “{model_id:.128}”. Type its name as the library shows it beneath the title."
        )
    return model


def settings_tabs_for(person: User, current: str) -> list[Link]:
    """Return the parts of the settings; none for those who have only their own engine to look at."""
    if not is_staff_here(person):
        return []
    parts = [
        ("My engine", "engine-settings"),
        ("Defaults", "engine-defaults"),
        ("Fallbacks", "engine-fallbacks"),
    ]
    return [Link(label, reverse(name), is_current=name == current) for label, name in parts]


def is_staff_here(person: User) -> bool:
    """Whether somebody reads the organisation's settings of engines."""
    return is_curator(person) or is_operator(person)


def require_staff(person: User) -> None:
    """Refuse everybody who has no office."""
    if not is_staff_here(person):
        raise PermissionDenied("Only curators, operators and administrators may read this.")


def offered_names(person: User) -> QuerySet[CatalogModel]:
    """Return the engines that a field offers first."""
    rows = catalog_shown_to(person).filter(role=ModelRole.CHAT, published=True)
    return rows.order_by("-recommended", "display_name", "pk")[:MAX_OFFERED]


def require_operator(person: User) -> None:
    """Refuse everybody who does not run the hosts."""
    if not is_operator(person):
        raise PermissionDenied("Only an operator may see and change files on hosts.")


def text_of(sent: str | None) -> str:
    """Return what was sent as the database can be asked for it."""
    return (sent or "").replace("\x00", "").strip()[:MAX_TEXT]
