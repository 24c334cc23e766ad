"""Tokens with which programs act for a person; what is kept cannot be turned back into one."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class TokenScope(models.TextChoices):
    """What a token opens, of what its person may do."""

    ALL = "all", "Everything the person may do"
    READ = "read", "Only reading"
    ANSWERS = "answers", "Only /v1"


class ApiToken(models.Model):
    """One token of a person; only its SHA-256 is kept, which is enough for 256 random bits."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=64, help_text="What it is for.")
    sha256 = models.BinaryField(max_length=32, unique=True, editable=False)
    scope = models.CharField(max_length=16, choices=TokenScope, default=TokenScope.ALL)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire.")
    last_used_at = models.DateTimeField(
        null=True, blank=True, help_text="To within an hour; empty: never."
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.user}: {self.name}"
