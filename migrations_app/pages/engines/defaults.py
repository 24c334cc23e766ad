"""/engines/settings/defaults/: the engines of those who chose none; written by administrators."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib.auth.models import Group
from django.db.models import F, QuerySet

from engines.exceptions import NotFoundError
from engines.models import EngineDefault
from engines.services.people.defaults import clear_default, set_default
from engines.services.people.roles import is_administrator
from migrations_app.pages.engines.parts import MAX_OFFERED, MAX_TEXT, engine_named, text_of
from migrations_app.pages.engines.rules import RulesView
from migrations_app.pages.forms import PageForm


class DefaultForm(PageForm):
    """Whose default, and which engine."""

    group = forms.CharField(
        label="Group",
        required=False,
        max_length=MAX_TEXT,
        help_text="Empty: the whole organisation.",
        widget=forms.TextInput(attrs={"list": "groups", "autocomplete": "off"}),
    )
    engine = forms.CharField(
        label="Engine",
        max_length=MAX_TEXT,
        help_text="By its name, like qwen3-4b.",
        widget=forms.TextInput(attrs={"list": "engine-names", "autocomplete": "off"}),
    )


class DefaultsView(RulesView):
    """The organisation's default and its groups'; staff read them, administrators write them."""

    template_name: ClassVar[str] = "pages/engines/defaults.html"
    form_class: ClassVar[type[PageForm]] = DefaultForm
    address: ClassVar[str] = "engine-defaults"
    key: ClassVar[str] = "group"
    not_yours: ClassVar[str] = "Only an administrator may change defaults."

    def may_write(self) -> bool:
        """Administrators."""
        return is_administrator(self.person)

    def keep(self, given: dict[str, Any], replaces: str) -> str:
        """Set a group's default, or the organisation's."""
        group = _group(text_of(given["group"]))
        engine = engine_named(self.person, text_of(given["engine"]))
        default = set_default(group, engine, replaces=replaces)
        whose = f"the group {group.name}" if group else "the organisation"
        return f"{default.engine.display_name} is the default of {whose}."

    def clear(self, name: str) -> str:
        """Clear a group's default, or the organisation's."""
        clear_default(_group(name))
        return "The default is cleared; the next one in order answers."

    def find_rules(self) -> QuerySet[EngineDefault]:
        """The organisation's first."""
        rows = EngineDefault.objects.select_related("group", "engine")
        return rows.order_by(F("group__name").asc(nulls_first=True))

    def find_more(self) -> dict[str, Any]:
        """The groups that the field offers."""
        groups = Group.objects.order_by("name")[:MAX_OFFERED] if self.may_write() else []
        return {"groups": groups}


def _group(name: str) -> Group | None:
    if not name:
        return None
    group = Group.objects.filter(name=name).first()
    if group is None:
        raise NotFoundError(f"No group is called “{name}”; leave it empty for the organisation.")
    return group
