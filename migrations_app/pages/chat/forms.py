"""What is asked, and how it shall be answered."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from engines.models import KnowledgeBase
from engines.services.knowledge.search_filters import SearchFilter
from engines.services.people.conversations import MAX_CHARS
from migrations_app.conversations import Wish
from migrations_app.pages.forms import PageForm

PASSAGES = 4
MAX_TOKENS = 1024
TEMPERATURE = 0.2
"""An assistant at work is asked for facts, and keeps to its passages; chat.js asks for the same."""


class AskForm(PageForm):
    """A question; with ``use_knowledge`` it is answered from the person's passages."""

    content = forms.CharField(
        label="Your question",
        max_length=MAX_CHARS,
        strip=False,
        widget=forms.Textarea(
            attrs={"rows": 1, "placeholder": "Ask anything", "enterkeyhint": "send"}
        ),
    )
    use_knowledge = forms.BooleanField(label="Answer from my knowledge", required=False)
    bases: forms.ModelMultipleChoiceField[KnowledgeBase] = forms.ModelMultipleChoiceField(
        KnowledgeBase.objects.none(), label="Only from", required=False
    )

    def __init__(self, *args: Any, bases: QuerySet[KnowledgeBase], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["bases"].queryset = bases  # type: ignore[attr-defined]

    def clean_content(self) -> str:
        """Refuse what says nothing."""
        content: str = self.cleaned_data["content"]
        if content and not content.strip():
            raise forms.ValidationError("Ask with some words.")
        return content

    def wish(self) -> Wish:
        """Return how to answer; no base chosen means all of them."""
        chosen = [base.pk for base in self.cleaned_data["bases"]]
        is_grounded = self.cleaned_data["use_knowledge"]
        return Wish(
            max_tokens=MAX_TOKENS,
            temperature=TEMPERATURE,
            knowledge=PASSAGES if is_grounded else None,
            knowledge_filter=SearchFilter(bases=chosen) if is_grounded and chosen else None,
        )


class RenameForm(PageForm):
    """A conversation's title."""

    title = forms.CharField(max_length=200)
