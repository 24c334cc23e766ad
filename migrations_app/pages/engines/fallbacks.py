"""/engines/settings/fallbacks/: what answers for an engine that cannot be made ready; written by operators."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.db.models import F, QuerySet

from engines.exceptions import NotFoundError
from engines.models import CatalogModel, EngineFallback, FallbackIncident
from engines.services.people.fallbacks import set_fallback
from engines.services.people.roles import is_operator
from migrations_app.pages.engines.parts import MAX_TEXT, engine_named, text_of
from migrations_app.pages.engines.rules import RulesView
from migrations_app.pages.forms import PageForm

MAX_INCIDENTS = 5


class FallbackForm(PageForm):
    """Which engine fails, and which one answers then."""

    engine = forms.CharField(
        label="When this engine cannot be made ready",
        required=False,
        max_length=MAX_TEXT,
        help_text="Empty: any engine that has no rule of its own.",
        widget=forms.TextInput(attrs={"list": "engine-names", "autocomplete": "off"}),
    )
    answers = forms.CharField(
        label="This one answers",
        required=False,
        max_length=MAX_TEXT,
        help_text="Empty: the engine that each person used before.",
        widget=forms.TextInput(attrs={"list": "engine-names", "autocomplete": "off"}),
    )


class FallbacksView(RulesView):
    """The rules, and when they were last needed; staff read them, operators write them."""

    template_name: ClassVar[str] = "pages/engines/fallbacks.html"
    form_class: ClassVar[type[PageForm]] = FallbackForm
    address: ClassVar[str] = "engine-fallbacks"
    key: ClassVar[str] = "engine"
    not_yours: ClassVar[str] = "Only an operator may change fallbacks."

    def may_write(self) -> bool:
        """Operators."""
        return is_operator(self.person)

    def keep(self, given: dict[str, Any], replaces: str) -> str:
        """Set the rule of an engine, or of all that have none."""
        named, answers = self._engine(given["engine"]), self._engine(given["answers"])
        set_fallback(named, answers, replaces=replaces)
        return "The rule is kept."

    def clear(self, name: str) -> str:
        """Take a rule away."""
        lookup = {"engine__model_id": name} if name else {"engine": None}
        rule = EngineFallback.objects.filter(**lookup).first()
        if rule is None:
            raise NotFoundError("This rule is gone already; nothing was changed.")
        rule.delete()
        return "The rule is taken away."

    def find_rules(self) -> QuerySet[EngineFallback]:
        """That of all engines first."""
        rows = EngineFallback.objects.select_related("engine", "answers")
        return rows.order_by(F("engine__display_name").asc(nulls_first=True))

    def find_more(self) -> dict[str, Any]:
        """When rules were needed last."""
        incidents = FallbackIncident.objects.select_related("revision__model", "answered_by__model")
        return {"incidents": incidents[:MAX_INCIDENTS]}

    def _engine(self, typed: str) -> CatalogModel | None:
        name = text_of(typed)
        return engine_named(self.person, name) if name else None
