"""/engines/settings/: which engine answers the reader and why, and choosing one at once."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse

from engines.exceptions import ConflictError, InvalidRequestError, SamError
from engines.models import CatalogModel
from engines.services.catalog.entries import is_offered
from engines.services.catalog.resolving import pinned_revision
from engines.services.engine_choice import default_of, effective_engine
from engines.services.people.preferences import choose_preference, preference_of
from migrations_app.indicator import indicator_of
from migrations_app.pages.base import PageView
from migrations_app.pages.engines.cards import cards_for
from migrations_app.pages.engines.engine import EngineView
from migrations_app.pages.engines.parts import (
    SECTION,
    engine_shown_to,
    settings_tabs_for,
    tabs_for,
)

MAX_VERSION_DIGITS = 9


def reason_of(person: User) -> str:
    """Say why the engine that answers a person does."""
    if preference_of(person).engine_id is not None:
        return "You chose it."
    default = default_of(person)
    if default is None:
        return "You have chosen none, and your organisation has no default."
    if default.group is not None:
        return (
            f"It is the default of your group {default.group.name}; you have chosen none yourself."
        )
    return "It is your organisation’s default; you have chosen none yourself."


class SettingsView(PageView):
    """The reader's own engine."""

    title: ClassVar[str] = "Settings of engines"
    section: ClassVar[str] = SECTION
    template_name: ClassVar[str] = "pages/engines/settings.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show which one it is and why."""
        engine, _ = effective_engine(self.person)
        default = default_of(self.person)
        cards = cards_for(self.person, [_complete(engine)]) if engine is not None else []
        context = {
            "indicator": indicator_of(self.person),
            "card": cards[0] if cards else None,
            "reason": reason_of(self.person),
            "default": default,
            "is_default": default is not None and engine == default.engine,
            "is_withdrawn": engine is not None and not is_offered(self.person, engine),
            "tabs": tabs_for(self.person, "engine-settings"),
            "parts": settings_tabs_for(self.person, "engine-settings"),
        }
        return self.render(context)


def _complete(engine: CatalogModel) -> CatalogModel:
    return CatalogModel.objects.select_related("current_revision", "embedding_model").get(
        pk=engine.pk
    )


class ChooseAtOnceView(EngineView):
    """Choose an engine when nothing has to move along; who has knowledge or adapters moves by the wizard."""

    def get(self, request: HttpRequest, model_id: str) -> HttpResponse:
        """Show the engine: nothing is chosen by looking."""
        return self.go("engine", model_id=engine_shown_to(self.person, model_id).model_id)

    def post(self, request: HttpRequest, model_id: str) -> HttpResponse:
        """Choose it, unless the reader's engine is another by now than the page showed."""
        model = engine_shown_to(self.person, model_id)
        if not is_offered(self.person, model):
            raise Http404
        try:
            self._choose(model, request.POST.get("version", ""))
        except SamError as error:
            return self.show(model, refusal=error)
        messages.success(request, f"{model.display_name} answers you from now on.")
        return self.go("engine-settings")

    def _choose(self, model: CatalogModel, version: str) -> None:
        if not (version.isascii() and version.isdecimal() and len(version) <= MAX_VERSION_DIGITS):
            raise InvalidRequestError("The page was not complete; reload it and choose again.")
        # The Hub may be asked here, so no transaction is open.
        revision = pinned_revision(model)
        if preference_of(self.person).version != int(version):
            raise ConflictError("Your engine was changed meanwhile; look again, then choose.")
        with transaction.atomic():
            choose_preference(
                self.person,
                model,
                revision,
                expected_version=int(version),
                why="Chosen by the person.",
            )
