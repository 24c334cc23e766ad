"""The form of a catalog entry: the fields of its runtime, as strict about names as the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
    UnfoldBooleanSwitchWidget,
)

from engines.host_runtimes import engine_registry
from engines.models import CatalogModel
from engines.models.catalog import MAX_PREFIX_LENGTH
from engines.models.validators import (
    POOLINGS,
    validate_model_filename,
    validate_repository,
)
from engines.runtime_names import built_in_of
from engines.runtimes.notation.families import FAMILIES
from engines.services.catalog.entry_rules import list_unused_fields
from engines.services.catalog.instructions import (
    Instructions,
    describe_instructions,
    find_instructions,
    propose_instructions,
)
from engines.services.catalog.validation import CONFIRM, validate_entry
from engines.specs import ModelSource

LICENCES = (
    "apache-2.0",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "deepseek",
    "gemma",
    "llama3.1",
    "llama3.2",
    "llama3.3",
    "mit",
)
"""As the Hub writes them."""


CATALOG_HELP = {
    "model_id": "What programs and plans call it; lower-case letters, digits and . _ : -",
    "display_name": "What people read.",
    "model_family": "Engines of one family share their prompts. How they reason is known of "
    f"{', '.join(FAMILIES)}.",
    "remote_name": "What that server calls the model, exactly as it lists it.",
    "sha256": "What the file must have; empty means what the Hub states.",
    "query_prefix": "Put before every question; the model's page says whether it wants it.",
    "document_prefix": "Put before every passage.",
    "tags": 'A JSON list of words: ["small", "multilingual"].',
    "recommended": "Marked so in the catalog that people see.",
    "published": "Off: only the staff see it and nobody can move to it.",
}


def instructions_of_place(given: Mapping[str, Any]) -> Instructions | None:
    """Return what is known of a model that is about to be entered, by where it is."""
    names = (given.get(field) for field in ("huggingface_repo", "filename"))
    return find_instructions([str(name) for name in names if name])


class PrefixField(forms.CharField):
    """A prefix as it was typed: each blank and line break is part of the vector space."""

    def __init__(self, *, help_text: str) -> None:
        super().__init__(
            required=False,
            strip=False,
            max_length=MAX_PREFIX_LENGTH,
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
            help_text=help_text,
        )

    def to_python(self, value: object) -> str:
        # Browsers send a line break as CR LF, whatever it was before.
        return str(super().to_python(value)).replace("\r\n", "\n")


class SuggestingInput(UnfoldAdminTextInputWidget):
    """A text field that offers what is used elsewhere; anything else may be typed too."""

    def __init__(self, field: str, known: tuple[str, ...]) -> None:
        super().__init__({"list": f"known-{field}"})
        self._field, self._known = field, known

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        used = CatalogModel.objects.order_by(self._field).values_list(self._field, flat=True)
        offered = sorted({*self._known, *used.distinct()} - {""})
        options = format_html_join("", '<option value="{}"></option>', ((o,) for o in offered))
        drawn = super().render(name, value, attrs, renderer)
        return format_html('{}<datalist id="known-{}">{}</datalist>', drawn, self._field, options)


def _named(source: ModelSource) -> str:
    return " and ".join(built_in_of(source))


class CatalogForm(forms.ModelForm[CatalogModel]):
    """The entry's form, as strict about names as the API."""

    runtime = forms.ChoiceField(
        choices=lambda: [(name, name) for name in engine_registry().runtimes],
        initial=CatalogModel.FILE_RUNTIME,
        widget=UnfoldAdminSelectWidget,
        help_text=f"What runs the model: {_named(ModelSource.FILE)} a GGUF file, "
        f"{_named(ModelSource.FOLDER)} a folder, {_named(ModelSource.SERVER)} a server; or an installed "
        "plugin.",
    )
    pooling = forms.ChoiceField(
        choices=[("", "The model's own"), *((name, name) for name in POOLINGS)],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    filename = forms.CharField(
        required=False,
        max_length=255,
        validators=[validate_model_filename],
        widget=UnfoldAdminTextInputWidget,
        help_text="One GGUF file of the repository, like Qwen3-0.6B.Q4_K_M.gguf.",
    )
    huggingface_repo = forms.CharField(
        required=False,
        label="Hugging Face repository",
        max_length=193,
        validators=[validate_repository],
        widget=UnfoldAdminTextInputWidget,
        help_text="As the Hub writes it: organisation/name.",
    )
    hub_endpoint = forms.URLField(
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget,
        help_text="Only for a mirror or a private hub; empty means the configured one.",
    )
    query_prefix = PrefixField(help_text=CATALOG_HELP["query_prefix"])
    document_prefix = PrefixField(help_text=CATALOG_HELP["document_prefix"])
    confirm = forms.BooleanField(required=False, widget=forms.HiddenInput, label="Write it anyway")
    """Shown when there is something to confirm."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Django keeps the fields that a form declares, shown or not.
        shown = {CONFIRM, *(self._meta.fields or self.fields)}
        for name in set(self.fields) - shown:
            del self.fields[name]
        proposed = self._proposed_instructions()
        if proposed is not None and "query_prefix" in self.fields:
            self.fields["query_prefix"].help_text = describe_instructions(proposed)
        for field in {"tags", "tensor_split"} & set(self.fields):
            self.fields[field].widget = UnfoldAdminTextInputWidget()
        if "description" in self.fields:
            self.fields["description"].widget.attrs["rows"] = 3
        for field, known in (("model_family", tuple(FAMILIES)), ("licence", LICENCES)):
            if field in self.fields:
                self.fields[field].widget = SuggestingInput(field, known)

    def _proposed_instructions(self) -> Instructions | None:
        """Say what the publisher asks for; it is filled in for a new entry only, and never typed over."""
        if self.instance.pk:
            return propose_instructions(self.instance)
        return instructions_of_place(self.initial)

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        self._empty_unused()
        try:
            validate_entry(
                self.instance,
                allowed_groups=self.cleaned_data.get("allowed_groups"),
                confirmed=self.cleaned_data["confirm"],
            )
        except ValidationError as error:
            problems = error.message_dict
            if CONFIRM in problems:
                self.fields[CONFIRM].widget = UnfoldBooleanSwitchWidget()
            for field, sentences in problems.items():
                self.add_error(field if field in self.fields else None, sentences)

    def _empty_unused(self) -> None:
        """Forget what only other runtimes read: it is not shown, so nobody could empty it."""
        blank = CatalogModel()
        for name in list_unused_fields(self.instance.runtime) - set(self.fields):
            setattr(self.instance, name, getattr(blank, name))
