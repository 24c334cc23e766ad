"""What a person searched for, where they allow that it is kept: their own questions measure a new embedder."""

from __future__ import annotations

from django.conf import settings
from django.db import models

MAX_QUESTION_CHARS = 500


class SearchHistory(models.Model):
    """That a person allows their searches to be kept; without this row none can be, and with it all go."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="search_history"
    )
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "search histories"

    def __str__(self) -> str:
        return f"searches of {self.user}"


class PastSearch(models.Model):
    """A question, kept once however often it was asked."""

    history = models.ForeignKey(SearchHistory, on_delete=models.CASCADE, related_name="searches")
    question = models.CharField(max_length=MAX_QUESTION_CHARS)
    asked_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-asked_at", "-id"]
        verbose_name_plural = "past searches"
        constraints = [
            models.UniqueConstraint(fields=["history", "question"], name="one_row_per_question")
        ]

    def __str__(self) -> str:
        return f"search {self.pk}"
