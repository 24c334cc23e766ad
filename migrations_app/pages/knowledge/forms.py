"""What is asked about bases and documents."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group, User

from engines.models import Document, Host
from engines.services.knowledge.content import MAX_NAME_CHARS, MAX_TITLE_CHARS
from engines.services.knowledge.watched.attaching import MAX_PATH_CHARS
from engines.services.people.roles import is_curator
from migrations_app.api.serializers.knowledge import MAX_QUERY_CHARS
from migrations_app.pages.forms import PageForm

MAX_EDIT_CHARS = 500_000
"""Of a text that is written in the browser; what is longer is replaced by a file."""


class NameForm(PageForm):
    """What a base is called."""

    name = forms.CharField(max_length=MAX_NAME_CHARS)


class NewBaseForm(NameForm):
    """A base, and for who may give one to a group: whose it is."""

    group: forms.ModelChoiceField[Group] = forms.ModelChoiceField(
        Group.objects.none(), required=False, empty_label="Mine alone", label="Whose"
    )

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if is_curator(person):
            self.fields["group"].queryset = Group.objects.order_by("name")  # type: ignore[attr-defined]
        else:
            del self.fields["group"]


class FolderForm(PageForm):
    """Which folder of a host a base is kept in step with."""

    host: forms.ModelChoiceField[Host] = forms.ModelChoiceField(
        Host.objects.exclude(folder_roots=[]).order_by("name"),
        empty_label=None,
        help_text="Only hosts that let folders be watched are here.",
    )
    path = forms.CharField(
        max_length=MAX_PATH_CHARS, strip=False, help_text="Its whole path there: /srv/handbook."
    )
    minutes = forms.IntegerField(
        min_value=1, max_value=7 * 24 * 60, initial=5, help_text="Between two looks."
    )
    keep_deleted = forms.BooleanField(required=False, label="Keep documents whose files are gone")


class TextForm(PageForm):
    """A document as it is written in the browser."""

    title = forms.CharField(max_length=MAX_TITLE_CHARS)
    media_type = forms.ChoiceField(
        choices=Document.MediaType.choices,
        label="Kind",
        help_text="Markdown is cut along its headings, and shown with them.",
    )
    text = forms.CharField(
        max_length=MAX_EDIT_CHARS,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 18}),
    )
    made_on = forms.CharField(
        max_length=64,
        required=False,
        widget=forms.HiddenInput,
        help_text="The digest of the text that was changed here.",
    )

    def clean_text(self) -> str:
        """Return it with the ends of lines that are kept; a browser sends those of typewriters."""
        text: str = self.cleaned_data["text"].replace("\r\n", "\n")
        return text


class TitleForm(PageForm):
    """What a document is called, where its text is too long for a browser."""

    title = forms.CharField(max_length=MAX_TITLE_CHARS)


class SearchForm(PageForm):
    """A question about everything that one may read."""

    query = forms.CharField(max_length=MAX_QUERY_CHARS, label="Search your knowledge")
