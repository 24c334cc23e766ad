"""Forms in the look of the components: ``{{ form }}`` in a template is all that a page writes."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.forms.renderers import DjangoTemplates

from engines.exceptions import SamError


class ComponentRenderer(DjangoTemplates):
    """Renders a form, and each of its fields, with our templates."""

    form_template_name = "components/form.html"
    field_template_name = "components/field.html"


class PageForm(forms.Form):
    """The base of every form on a page."""

    default_renderer = ComponentRenderer
    required_css_class: ClassVar[str] = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)

    def refuse(self, error: SamError, field: str | None = None) -> None:
        """Show a refusal of the door behind the form where the person can mend it."""
        self.add_error(field, str(error))


class ChoiceCards(forms.RadioSelect):
    """Choices as cards: each has a title, and a line beneath it where ``texts`` has one for its value."""

    template_name = "components/choice_cards.html"

    def __init__(self, texts: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.texts = texts or {}

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        return {**option, "text": self.texts.get(str(value), "")}
